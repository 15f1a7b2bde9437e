-- kpi: open
-- title: Open
-- unit: conversations
-- kind: gauge
-- better: lower
-- dimensions: channel, agent
-- live: yes
-- definition: Conversations that are open now. An agent's number counts those assigned to the agent.
SELECT bucket, dimension, key, sum(open) AS value
FROM gauges
GROUP BY bucket, dimension, key
