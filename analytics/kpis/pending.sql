-- kpi: pending
-- title: Pending
-- unit: conversations
-- kind: gauge
-- better: neutral
-- dimensions: channel, agent
-- live: yes
-- definition: Conversations that wait for a bot or a third party now. An agent's number counts those assigned to the agent.
SELECT bucket, dimension, key, sum(pending) AS value
FROM gauges
GROUP BY bucket, dimension, key
