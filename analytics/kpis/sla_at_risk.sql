-- kpi: sla_at_risk
-- title: Promises at risk
-- unit: conversations
-- kind: gauge
-- better: lower
-- dimensions: channel, agent
-- live: yes
-- definition: Conversations with a promise of a service level of which a warning was given, and none that is broken. An agent's number counts those assigned to the agent.
SELECT bucket, dimension, key, sum(sla_at_risk) AS value
FROM gauges
GROUP BY bucket, dimension, key
