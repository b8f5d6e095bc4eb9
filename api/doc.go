// Package api is the vocabulary that every stage of a request shares: who asks
// ([User]), what is asked ([RequestInfo]), selectors, patches, and the one error
// type that crosses layers ([Error]).
//
// The package performs no I/O and holds no state. Everything in it that decodes
// client input states its bounds and has a fuzz target beside it.
package api
