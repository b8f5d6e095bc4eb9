package server

import "time"

// net/http starts a goroutine for each request of HTTP/2, with a stack of 8 KiB or less. Deciding about a request and answering it goes far
// deeper: the question to etcd through gRPC, reflection over an object, and Rego's evaluator, which calls itself for each expression of
// a rule, 64 KiB deep. So the runtime copied the stack of each request up to four times, adjusting each frame, and gave the large
// pieces back afterwards: a fifth of what a GET or a CREATE of a pod cost. Workers keep the stack that the requests before have grown.
//
// The rejected alternatives are workers for the evaluation of policies alone, which are nothing for a GET, and
// growing the stack in one step beforehand: what is a little too large comes from the heap under a lock and costs more than copying
// did. The price of workers is handing the request over, about a microsecond, and a goroutine that outlives it by workerIdle. Requests that run
// long stay where they are: each would hold two goroutines for the time of a watch.

// workerIdle is how long a worker waits for another request before it ends.
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
