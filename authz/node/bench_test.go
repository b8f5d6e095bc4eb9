package node_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/authz/node"
)

// crowd is 5,000 pods on 1,000 nodes, each with a secret, a config map, a claim with a volume, and a secret that all share.
func crowd() (*node.Graph, []*corev1.Pod) {
	g := node.NewGraph()
	list := make([]*corev1.Pod, 5000)
	for i := range list {
		name := fmt.Sprint("p", i)
		list[i] = pod(name, fmt.Sprint("n", i%1000))
		g.ApplyPod(list[i])
		g.ApplyVolume(volume("v"+name, "claim-"+name, "csi"))
	}
	return g, list
}

// BenchmarkAuthorize is a decision, alone and beside a writer who never rests.
func BenchmarkAuthorize(b *testing.B) {
	g, list := crowd()
	a := node.New(g)
	for _, ask := range []struct {
		name, request string
		want          authz.Decision
	}{
		{"allowed", "get secrets ns/secret-p7", authz.Allow},
		{"of all pods", "get secrets ns/shared", authz.Allow},
		{"by volume", "get secrets csi/csi", authz.Allow},
		{"refused", "get secrets ns/secret-p8", authz.NoOpinion},
	} {
		info, user := request(ask.request), kubelet("n7")
		run := func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if d, _, _ := a.Authorize(b.Context(), user, info); d != ask.want {
						b.Error(d)
					}
				}
			})
		}
		b.Run(ask.name, run)
		b.Run(ask.name+"/beside a writer", func(b *testing.B) {
			var stop atomic.Bool
			done := make(chan struct{})
			go func() {
				defer close(done)
				for i := 0; !stop.Load(); i++ {
					p := list[i%len(list)]
					g.DeletePod(p.Namespace, p.Name)
					if g.ApplyPod(p); i%64 == 0 {
						runtime.Gosched()
					}
				}
			}()
			// The pods asked about are deleted and made again meanwhile.
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, _, _ = a.Authorize(b.Context(), user, info)
				}
			})
			stop.Store(true)
			<-done
		})
	}
}

// BenchmarkApply is what a change of a pod costs the graph: nothing of it new, as for nearly all, and all of it new.
func BenchmarkApply(b *testing.B) {
	g, list := crowd()
	b.Run("same", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			g.ApplyPod(list[i%len(list)])
		}
	})
	b.Run("deleted and made again", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			p := list[i%len(list)]
			g.DeletePod(p.Namespace, p.Name)
			g.ApplyPod(p)
		}
	})
}

// BenchmarkMemory reports the bytes that the graph holds for each pod with its volume.
func BenchmarkMemory(b *testing.B) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for b.Loop() {
		before := heap()
		g, list := crowd()
		n := len(list)
		clear(list)
		b.ReportMetric(float64(heap()-before)/float64(n), "B/pod")
		runtime.KeepAlive(g)
	}
}
