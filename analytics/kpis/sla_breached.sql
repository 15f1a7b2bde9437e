-- kpi: sla_breached
-- title: Broken promises
-- unit: conversations
-- kind: gauge
-- better: lower
-- dimensions: channel, agent
-- live: yes
-- definition: Conversations with a promise of a service level that is broken, and in which what was promised has not come yet. An agent's number counts those assigned to the agent.
SELECT bucket, dimension, key, sum(sla_breached) AS value
FROM gauges
GROUP BY bucket, dimension, key
