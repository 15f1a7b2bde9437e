-- kpi: unassigned
-- title: Unassigned
-- unit: conversations
-- kind: gauge
-- better: lower
-- dimensions: channel
-- live: yes
-- definition: Conversations that are open now and assigned to nobody.
SELECT bucket, dimension, key, sum(unassigned) AS value
FROM gauges
GROUP BY bucket, dimension, key
