-- kpi: messages_in
-- title: Messages in
-- unit: messages
-- kind: count
-- better: neutral
-- dimensions: channel, agent, label
-- live: yes
-- definition: Messages that customers sent. An agent's number counts those in conversations that were assigned to the agent when they came.
SELECT bucket, dimension, key, sum(messages_in) AS value
FROM cells
GROUP BY bucket, dimension, key
