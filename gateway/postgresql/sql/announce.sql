-- Tell other nodes for which destinations deliveries are due now; that they may be for any, without names, or with more of them
-- than a payload holds. Nobody is told before the transaction is committed.
SELECT pg_notify('gateway_due', CASE WHEN octet_length(whole) < 8000 AND %(destinations)s::json IS NOT NULL THEN whole
                                ELSE json_build_array(current_schema(), %(node)s::text)::text END)
FROM (SELECT json_build_array(current_schema(), %(node)s::text, %(destinations)s::json)::text AS whole) AS notice;
