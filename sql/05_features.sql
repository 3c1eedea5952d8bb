-- What is known of each user now?  Lifetime sums, the last 30 minutes, sessions; spoken again when they fade.
CREATE TEMPORARY VIEW features AS
SELECT *
FROM roll_features(TABLE tiles PARTITION BY user_key, DESCRIPTOR(window_time));
