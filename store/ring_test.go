package store_test

import (
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/store"
)

// checkRing checks that what the ring returns is what was appended, from every revision it still knows.
func checkRing(t *testing.T, r *store.Ring, floor int64, revisions []int64) {
	t.Helper()
	kept := revisions[len(revisions)-r.Len():]
	if dropped := len(revisions) - len(kept); dropped > 0 {
		floor = revisions[dropped-1]
	}
	if r.Held() != r.Len() {
		t.Fatalf("the ring refers to %d events and keeps %d", r.Held(), r.Len())
	}
	if _, ok := r.After(floor - 1); ok {
		t.Fatalf("a watch from %d would miss %d", floor-1, floor)
	}
	for i := 0; i <= len(kept); i += max(1, len(kept)/7) {
		from, want := floor, kept[i:]
		if i > 0 {
			from = kept[i-1]
		}
		for len(want) > 0 && want[0] == from {
			want = want[1:]
		}
		got, ok := r.After(from)
		if !ok || len(got) != len(want) {
			t.Fatalf("after %d: %d events (%t), want %d", from, len(got), ok, len(want))
		}
		for j := range want {
			if got[j] != want[j] {
				t.Fatalf("after %d: event %d is %d, want %d", from, j, got[j], want[j])
			}
		}
	}
}

func TestRing(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		name   string
		events int
		every  time.Duration
		same   int // events per revision
		want   int // events kept at the end
	}{
		{"empty history reaches back to the load", 0, 0, 1, 0},
		{"the first event does not push itself out", 1, 0, 1, 1},
		{"an old history keeps the minimum and wraps around", 5*store.MinEvents + 3, store.EventAge, 1, store.MinEvents},
		{"a young history grows past the minimum", 3*store.MinEvents + 1, time.Millisecond, 1, 3*store.MinEvents + 1},
		{"the growth is bounded however young the events are", store.MaxEvents + 1000, 0, 1, store.MaxEvents},
		{"age is measured on the oldest", 1000, store.EventAge / 300, 1, 300},
		{"events of one revision stay in order when some are forgotten", 4*store.MinEvents + 1, store.EventAge, 5, store.MinEvents},
	} {
		t.Run(c.name, func(t *testing.T) {
			const floor = 10
			r := store.NewRing(floor)
			var revisions []int64
			for i := range c.events {
				revisions = append(revisions, floor+1+int64(i/c.same))
				r.Append(revisions[i], start.Add(time.Duration(i)*c.every))
				if i < 3*store.MinEvents || i == c.events-1 {
					checkRing(t, r, floor, revisions)
				}
			}
			if r.Len() != c.want {
				t.Errorf("%d events kept, want %d", r.Len(), c.want)
			}
		})
	}
}

func TestRingShrinksAfterABurst(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	r := store.NewRing(0)
	var revisions []int64
	add := func(n int, at time.Time) {
		for range n {
			revisions = append(revisions, int64(len(revisions)+1))
			r.Append(revisions[len(revisions)-1], at)
		}
	}
	add(10*store.MinEvents, start)
	add(1, start.Add(2*store.EventAge))
	if r.Len() != store.MinEvents+1 {
		t.Errorf("%d events kept long after a burst, want %d", r.Len(), store.MinEvents+1)
	}
	checkRing(t, r, 0, revisions)
	add(20*store.MinEvents, start.Add(2*store.EventAge))
	checkRing(t, r, 0, revisions)
}
