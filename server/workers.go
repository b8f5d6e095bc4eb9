package server

import (
	"sync"
	"time"
)

// net/http starts a goroutine for each request of HTTP/2, with a stack of 8 KiB or less. Deciding about a request and answering it goes far
// deeper: the question to etcd through gRPC, reflection over an object, and Rego's evaluator, which calls itself for each expression of
// a rule, 64 KiB deep. So the runtime copied the stack of each request up to four times, adjusting each frame, and gave the large
// pieces back afterwards: a fifth of what a GET or a CREATE of a pod cost. Workers keep the stack that the requests before have grown.
//
// The rejected alternatives are workers for the evaluation of policies alone, which are nothing for a GET, and
// growing the stack in one step beforehand: what is a little too large comes from the heap under a lock and costs more than copying
// did. Parsing is done by workers as well, though it is not deep: the stack that net/http starts with was too small for
// setting a deadline, and was copied there for each request, a twentieth of what a GET cost. The price of workers is handing the request over,
// about a microsecond, and a goroutine that outlives it by workerIdle. Requests that run long go on where they came from: each would hold two
// goroutines for the time of a watch.

// workerIdle is how long a worker waits for another request before it ends.
const workerIdle = 100 * time.Millisecond

// workers run functions, one after the other each. There are never more of them than calls of run under way, plus those that wait.
type workers struct {
	tasks chan *task // unbuffered: a send means that a worker has taken it
}

// task is a function for a worker. It is for one call of run.
type task struct {
	f        func()
	panicked any // what f panicked with; set when done
	done     sync.WaitGroup
}

// run calls t.f on a worker and returns when it has. A panic of f is the caller's.
func (w workers) run(t *task) {
	t.done.Add(1)
	select {
	case w.tasks <- t:
	default:
		go w.work(t)
	}
	t.done.Wait()
	if t.panicked != nil {
		panic(t.panicked)
	}
}

func (w workers) work(t *task) {
	idle := time.NewTimer(workerIdle)
	defer idle.Stop()
	for {
		t.call()
		t = nil // which does not outlive its request
		idle.Reset(workerIdle)
		select {
		case t = <-w.tasks:
		case <-idle.C:
			return
		}
	}
}

func (t *task) call() {
	defer func() {
		t.panicked = recover()
		t.done.Done()
	}()
	t.f()
}
