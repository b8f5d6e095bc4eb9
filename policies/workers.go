package policies

import "time"

// Rego's evaluator calls itself for each expression of a rule, a hundred frames deep and 64 KiB of stack. The goroutine of an HTTP/2
// request starts with 8 KiB, so evaluating on it means that the runtime copies the stack three times, adjusting each frame: an eighth of
// what a CREATE of a pod cost by profile. Workers keep the stack that the review before them has grown.
//
// The rejected alternative is to grow the stack of the request in one step beforehand: it saves half as much, and a stack that is a
// little too large comes from the heap under a lock and costs more than the copying did. The price of workers is handing the review
// over, about a microsecond, and goroutines that outlive a request by workerIdle.

// workerIdle is how long a worker waits for another review before it ends.
const workerIdle = 100 * time.Millisecond

// workers run functions, one after the other each. There are never more of them than calls of run under way, plus those that wait.
type workers struct {
	tasks chan func() // unbuffered: a send means that a worker has taken it
}

// run calls f on a worker and returns when f has. A panic of f is the caller's.
func (w workers) run(f func()) {
	done := make(chan any, 1)
	task := func() {
		defer func() { done <- recover() }()
		f()
	}
	select {
	case w.tasks <- task:
	default:
		go w.work(task)
	}
	if panicked := <-done; panicked != nil {
		panic(panicked)
	}
}

func (w workers) work(task func()) {
	idle := time.NewTimer(workerIdle)
	defer idle.Stop()
	for {
		task()
		idle.Reset(workerIdle)
		select {
		case task = <-w.tasks:
		case <-idle.C:
			return
		}
	}
}
