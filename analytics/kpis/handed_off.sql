-- kpi: handed_off
-- title: Handed to people
-- unit: times
-- kind: count
-- better: neutral
-- dimensions: channel, agent, label
-- live: yes
-- definition: How often a conversation that was pending, with a bot or a third party, was opened for people. An agent's number counts those that were the agent's then.
SELECT bucket, dimension, key, sum(handed_off) AS value
FROM cells
GROUP BY bucket, dimension, key
