// Package soak lets many client-go informers follow a server while objects come, change and go, and then compares what each of
// them holds with what the server has.
package soak
