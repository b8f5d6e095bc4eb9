package standalone_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/standalone"
)

// TestQueue runs the queue on a clock of its own and notes when each job was done.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		q := standalone.NewQueue()
		begun := time.Now()
		var done []string
		failing := 3
		note := make(chan string)
		ended := make(chan error, 1)
		go func() {
			ended <- q.Run(ctx, func(name string) bool {
				note <- name + " after " + time.Since(begun).String()
				if name == "fails" {
					failing--
					return failing < 0
				}
				if name == "long" && time.Since(begun) < time.Minute {
					time.Sleep(time.Minute)
				}
				return true
			})
		}()
		q.Add("fails", 0)
		q.Add("late", 10*time.Second)
		q.Add("twice", 5*time.Second)
		q.Add("twice", 2*time.Second)
		q.Add("twice", 7*time.Second)
		for range 6 {
			done = append(done, <-note)
		}
		q.Add("long", 0)
		done = append(done, <-note)
		q.Add("long", 0)
		q.Add("long", 0)
		done = append(done, <-note)
		synctest.Wait()
		want := []string{
			"fails after 0s", "fails after 100ms", "fails after 300ms", "fails after 700ms", "twice after 2s", "late after 10s",
			"long after 10s", "long after 1m10s",
		}
		if diff := cmp.Diff(want, done); diff != "" {
			t.Errorf("done (-want +got):\n%s", diff)
		}
		if n := q.Len(); n != 0 {
			t.Errorf("%d jobs are left", n)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
