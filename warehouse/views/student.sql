-- question: by how many standard errors does a 95 % interval reach, when the variance has so many degrees of freedom?
-- grain: a scalar; Student's t for the whole number below df, which makes the interval no narrower than it should be
create or replace macro student(df) as case
    when df >= 30 then 1.96 + 2.5 / floor(df)
    else [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045
    ][greatest(1, floor(df))::int]
end;
