-- kpi: messages_out
-- title: Messages out
-- unit: messages
-- definition: Messages that people and programs of the workspace sent in the last 24 hours (this minute and the 1,439 before it), delivered or not; an agent's number counts those that the agent wrote.
SELECT channel_id, agent_id, sum(messages_out_human + messages_out_bot) AS value
FROM cells
GROUP BY GROUPING SETS ((), (channel_id), (agent_id))
