-- kpi: waiting
-- title: Waiting
-- unit: conversations
-- kind: gauge
-- better: lower
-- dimensions: channel, agent
-- live: yes
-- definition: Conversations, not resolved, whose customer has written something that no person has answered yet. An agent's number counts those assigned to the agent.
SELECT bucket, dimension, key, sum(waiting) AS value
FROM gauges
GROUP BY bucket, dimension, key
