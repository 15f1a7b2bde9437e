-- kpi: messages_in
-- title: Messages in
-- unit: messages
-- definition: Messages that customers sent in the last 24 hours (this minute and the 1,439 before it); an agent's number counts those in conversations that were assigned to the agent when they came.
SELECT channel_id, agent_id, sum(messages_in) AS value
FROM cells
GROUP BY GROUPING SETS ((), (channel_id), (agent_id))
