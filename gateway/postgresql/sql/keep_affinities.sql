-- Each study is with a member of its group from now on: rows of [group, study, member]. One that is with a fit member stays there.
-- The rows are locked in order.
INSERT INTO group_affinity (group_name, study_digest, member, forget_at)
SELECT wish ->> 0, wish ->> 1, wish ->> 2, (wish ->> 3)::bigint
FROM jsonb_array_elements(%(wishes)s::jsonb) WITH ORDINALITY AS wishes (wish, place)
ORDER BY place
ON CONFLICT (group_name, study_digest) DO UPDATE SET
    member = CASE WHEN EXISTS (
        SELECT 1 FROM jsonb_array_elements(%(fit)s::jsonb) AS one
        WHERE one ->> 0 = group_affinity.group_name AND one ->> 1 = group_affinity.member
    ) THEN group_affinity.member ELSE excluded.member END,
    forget_at = greatest(group_affinity.forget_at, excluded.forget_at)
RETURNING group_name, study_digest, member;
