-- kpi: snoozed
-- title: Snoozed
-- unit: conversations
-- kind: gauge
-- better: neutral
-- dimensions: channel, agent
-- live: yes
-- definition: Conversations that are snoozed now. An agent's number counts those assigned to the agent.
SELECT bucket, dimension, key, sum(snoozed) AS value
FROM gauges
GROUP BY bucket, dimension, key
