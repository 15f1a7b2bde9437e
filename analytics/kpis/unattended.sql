-- kpi: unattended
-- title: Unattended
-- unit: conversations
-- kind: gauge
-- better: lower
-- dimensions: channel, agent
-- live: yes
-- definition: Conversations that are open now, in which the customer has written and either no person has ever answered or the customer waits again. An agent's number counts those assigned to the agent.
SELECT bucket, dimension, key, sum(unattended) AS value
FROM gauges
GROUP BY bucket, dimension, key
