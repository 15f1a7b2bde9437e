-- kpi: resolved
-- title: Resolved
-- unit: times
-- definition: How often a conversation was resolved in the last 24 hours (this minute and the 1,439 before it), counted again if it was reopened and resolved again; credited to its assignee, or to who resolved it if it had none.
SELECT channel_id, agent_id, sum(resolved) AS value
FROM cells
GROUP BY GROUPING SETS ((), (channel_id), (agent_id))
