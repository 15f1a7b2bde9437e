-- kpi: first_response_p50
-- title: First response, median
-- unit: seconds
-- definition: Half of the first responses of the last 24 hours (by when they were given) took at most this long, within 1 %; from the conversation's opening to a person's first answer, bots not counted, conversations that the workspace began left out, credited to who answered.
SELECT channel_id, agent_id, hist_quantile(hist_merge(first_response_hist), 0.5) AS value
FROM cells
GROUP BY GROUPING SETS ((), (channel_id), (agent_id))
