package server

// writeStack is what a write needs of its goroutine's stack, in bytes: decoding, policies and encoding nest deep.
const writeStack = 48 << 10

// growStack makes room on the stack for a write in one step. net/http gives each request a new goroutine with a stack
// of a few kilobytes, and the runtime doubles it, copying what is there and adjusting every pointer into it, each time it
// overflows; profiles of CREATE show a tenth of its time there. Growing once while the stack is nearly empty
// copies almost nothing. The rejected alternative, keeping goroutines with grown stacks to hand requests to, costs
// two changes of goroutine for each request. The cost here is to clear the bytes once, about a microsecond.
//
//go:noinline
func growStack() {
	var room [writeStack]byte
	touch(&room)
}

//go:noinline
func touch(room *[writeStack]byte) { room[0] = 1 }
