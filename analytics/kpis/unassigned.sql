-- kpi: unassigned
-- title: Unassigned
-- unit: conversations
-- definition: Conversations that are open now and assigned to nobody.
SELECT channel_id, CAST(NULL AS VARCHAR) AS agent_id, sum(CASE WHEN agent_id = '' THEN open ELSE 0 END) AS value
FROM gauges
GROUP BY GROUPING SETS ((), (channel_id))
