-- kpi: open
-- title: Open
-- unit: conversations
-- definition: Conversations that are open now; an agent's number counts those assigned to the agent.
SELECT channel_id, agent_id, sum(open) AS value
FROM gauges
GROUP BY GROUPING SETS ((), (channel_id), (agent_id))
