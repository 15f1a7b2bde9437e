-- kpi: messages_out
-- title: Messages out
-- unit: messages
-- kind: count
-- better: neutral
-- dimensions: channel, agent, label
-- live: yes
-- definition: Messages that people and programs of the workspace sent, delivered or not. An agent's number counts those that the agent wrote.
SELECT bucket, dimension, key, sum(messages_out_human + messages_out_bot) AS value
FROM cells
GROUP BY bucket, dimension, key
