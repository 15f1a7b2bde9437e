-- kpi: opened
-- title: New conversations
-- unit: conversations
-- kind: count
-- better: neutral
-- dimensions: channel, agent, label
-- live: yes
-- definition: Conversations that began, whoever wrote first; those of blocked contacts are left out. An agent's number counts those that were the agent's from the start.
SELECT bucket, dimension, key, sum(opened) AS value
FROM cells
GROUP BY bucket, dimension, key
