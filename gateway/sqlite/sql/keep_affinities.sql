-- Each study is with a member of its group from now on: rows of [group, study, member]. One that is with a fit member stays there.
INSERT INTO group_affinity (group_name, study_digest, member, forget_at)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(:wishes) WHERE true
ON CONFLICT (group_name, study_digest) DO UPDATE SET
    member = CASE WHEN EXISTS (
        SELECT 1 FROM json_each(:fit) AS one
        WHERE one.value ->> 0 = group_affinity.group_name AND one.value ->> 1 = group_affinity.member
    ) THEN group_affinity.member ELSE excluded.member END,
    forget_at = max(group_affinity.forget_at, excluded.forget_at)
RETURNING group_name, study_digest, member;
