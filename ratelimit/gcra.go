package ratelimit

import "time"

// A gcra is the generic cell rate algorithm: a token bucket whose whole state is one time, the theoretical
// arrival time (tat). While requests come at the permitted rate, the tat stays near now; each request moves it
// on by interval; it may run ahead of now by at most window. A tat that is not in the future is a full bucket,
// the same as no state at all.
//
// Times are nanoseconds since some start; arithmetic is exact and needs no clock.
type gcra struct {
	interval int64 // time that pays for one unit
	window   int64 // burst * interval
}

// Bounds that keep the arithmetic far from overflow.
const (
	maxInterval = int64(time.Hour)
	maxUnits    = 1_000_000
)

func newGCRA(rate float64, burst int) gcra {
	interval := max(int64(min(float64(time.Second)/rate, float64(maxInterval))), 1)
	return gcra{interval: interval, window: interval * int64(min(burst, maxUnits))}
}

// take returns the tat after a request of n units at now, or how long to wait until it would be permitted;
// then the tat is unchanged. More units than the burst are never permitted.
func (g gcra) take(tat, now, n int64) (next, wait int64) {
	next = max(tat, now) + n*g.interval
	if wait = next - now - g.window; wait > 0 {
		return tat, wait
	}
	return next, 0
}

// charge returns the tat after n units that are paid in any case, at most limit beyond the window.
func (g gcra) charge(tat, now, n, limit int64) int64 {
	most := now + g.window + limit
	return max(tat, min(max(tat, now)+n*g.interval, most))
}

// throttled reports whether a request of one unit would have to wait.
func (g gcra) throttled(tat, now int64) bool { return tat+g.interval > now+g.window }
