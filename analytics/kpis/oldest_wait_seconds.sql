-- kpi: oldest_wait_seconds
-- title: Longest wait
-- unit: seconds
-- kind: gauge
-- better: lower
-- dimensions: channel, agent
-- live: yes
-- definition: How long the customer has waited who has waited longest, told as the moment since when (the time of the oldest message that no person has answered), so that whoever shows it lets it tick. An agent's number counts those assigned to the agent.
SELECT bucket, dimension, key, min(oldest_waiting_since) AS since
FROM gauges
GROUP BY bucket, dimension, key
