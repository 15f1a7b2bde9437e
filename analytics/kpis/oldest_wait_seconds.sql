-- kpi: oldest_wait_seconds
-- title: Longest wait
-- unit: seconds
-- definition: How long the customer has waited who has waited longest, told as the moment since when (the time of the oldest message that no person has answered), so that whoever shows it lets it tick.
SELECT channel_id, agent_id, min(oldest_waiting_since) AS since
FROM gauges
GROUP BY GROUPING SETS ((), (channel_id), (agent_id))
