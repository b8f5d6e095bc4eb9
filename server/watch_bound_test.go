package server_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse/gatehouse/server"
)

// TestWriteBound guards that a watcher that does not read is cut off, and that one which waits or reads is not.
func TestWriteBound(t *testing.T) {
	tests := []struct {
		name  string
		takes time.Duration // of a write; 0 until the stream is cut off
		cuts  int
	}{
		{"a client that does not read", 0, 1},
		{"a client that reads slowly", server.WatchWrite - time.Second, 0},
		{"a client that reads too slowly", server.WatchWrite + time.Second, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cut := make(chan struct{}, 10)
				b := server.BoundWrites(server.WatchWrite, func() { cut <- struct{}{} })
				time.Sleep(time.Hour) // Nothing happens for long.
				if len(cut) > 0 {
					t.Fatal("cut off while it waits")
				}
				began := time.Now()
				if err := b.During(func() error {
					if tt.takes == 0 {
						<-cut
						cut <- struct{}{}
						return nil
					}
					time.Sleep(tt.takes)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); tt.takes == 0 && took != server.WatchWrite {
					t.Errorf("cut off after %v, want %v", took, server.WatchWrite)
				}
				time.Sleep(time.Hour)
				b.Close()
				if len(cut) != tt.cuts {
					t.Errorf("cut off %d times, want %d", len(cut), tt.cuts)
				}
			})
		})
	}
}

// TestWriteBoundCloses guards that a stream is not touched after its handler has returned, even where a write was over its time just then.
func TestWriteBoundCloses(t *testing.T) {
	cutting, proceed, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var returned atomic.Bool
	b := server.BoundWrites(1, func() {
		close(cutting)
		<-proceed
		if returned.Load() {
			t.Error("cut off after the end")
		}
	})
	if err := b.During(func() error { <-cutting; return nil }); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(closed)
		b.Close()
		returned.Store(true)
	}()
	for range 100 {
		runtime.Gosched() // A Close that does not wait is through by now.
	}
	close(proceed)
	<-closed
}
