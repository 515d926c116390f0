-- question: what is x, if it is a number? (infinities and NaN become null, so that no table shows them)
-- grain: a scalar
create or replace macro finite(x) as case when isfinite(x) then x end;
