-- kpi: transferred
-- title: Transferred
-- unit: times
-- kind: count
-- better: lower
-- dimensions: channel, agent, label
-- live: yes
-- definition: How often a conversation went from one person to another. Counts for the one who had it.
SELECT bucket, dimension, key, sum(transferred) AS value
FROM cells
GROUP BY bucket, dimension, key
