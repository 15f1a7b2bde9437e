-- kpi: waiting
-- title: Waiting
-- unit: conversations
-- definition: Conversations, not resolved, whose customer has written something that no person has answered yet; an agent's number counts those assigned to the agent.
SELECT channel_id, agent_id, sum(waiting) AS value
FROM gauges
GROUP BY GROUPING SETS ((), (channel_id), (agent_id))
