package server_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse/gatehouse/server"
)

func TestWorkersRunEveryTaskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := server.NewWorkers()
		var mu sync.Mutex
		seen := map[int]int{}
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				run(func() {
					mu.Lock()
					defer mu.Unlock()
					seen[i]++
				})
				mu.Lock()
				defer mu.Unlock()
				if seen[i] != 1 {
					t.Errorf("task %d was run %d times when run returned", i, seen[i])
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Second) // in the bubble's time, after which it fails if a worker is still there
	})
}

func TestPanicOfATaskIsTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := server.NewWorkers()
		if got := recovered(func() { run(func() { panic("no") }) }); got != "no" {
			t.Errorf("recovered %v", got)
		}
		ran := false
		run(func() { ran = true })
		if !ran {
			t.Error("the task after a panic was not run")
		}
		time.Sleep(time.Second)
	})
}

func recovered(f func()) (what any) {
	defer func() { what = recover() }()
	f()
	return nil
}
