-- kpi: messages_out_bot
-- title: Messages by programs
-- unit: messages
-- kind: count
-- better: neutral
-- dimensions: channel, label
-- live: yes
-- definition: Messages that programs sent for the workspace, delivered or not; part of the messages out. No agent is credited.
SELECT bucket, dimension, key, sum(messages_out_bot) AS value
FROM cells
GROUP BY bucket, dimension, key
