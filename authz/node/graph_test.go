package node_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/authz/node"
)

func may(t *testing.T, g *node.Graph, name, text string) bool {
	t.Helper()
	d, _, err := node.New(g).Authorize(t.Context(), kubelet(name), request(text))
	if err != nil {
		t.Fatal(err)
	}
	return d == authz.Allow
}

// TestRightsEnd guards against what a node keeps after its reason has gone.
func TestRightsEnd(t *testing.T) {
	tests := []struct {
		name, request string
		end           func(g *node.Graph)
	}{
		{"the pod is deleted", "get secrets ns/secret-a", func(g *node.Graph) { g.DeletePod("ns", "a") }},
		{"the pod is another one now", "get secrets ns/secret-a", func(g *node.Graph) { g.ApplyPod(pod("a", "n2")) }},
		{"the pod is not on a node any more", "get pods ns/a", func(g *node.Graph) { g.ApplyPod(pod("a", "")) }},
		{"the pod of the volume is deleted", "get persistentvolumes va", func(g *node.Graph) { g.DeletePod("ns", "a") }},
		{"the pod of the volume's secret is deleted", "get secrets csi/csi-a", func(g *node.Graph) { g.DeletePod("ns", "a") }},
		{"the volume is deleted", "get secrets csi/csi-a", func(g *node.Graph) { g.DeleteVolume("va") }},
		{"the volume is free", "get persistentvolumes va", func(g *node.Graph) { g.ApplyVolume(volume("va", "", "csi-a")) }},
		{"the volume goes to another claim", "get secrets csi/csi-a", func(g *node.Graph) { g.ApplyVolume(volume("va", "claim-b", "csi-a")) }},
		{"the volume has another secret", "get secrets csi/csi-a", func(g *node.Graph) { g.ApplyVolume(volume("va", "claim-a", "csi-new")) }},
		{"the attachment is deleted", "get volumeattachments.storage.k8s.io at1", func(g *node.Graph) { g.DeleteAttachment("at1") }},
		{"the slice is deleted", "get resourceslices.resource.k8s.io s1", func(g *node.Graph) { g.DeleteSlice("s1") }},
		{"a reading anew has not found it", "get secrets ns/secret-a", func(g *node.Graph) {
			g.Retain(node.Pods, func(_, name string) bool { return name != "a" })
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := cluster()
			if !may(t, g, "n1", tt.request) {
				t.Fatal("refused before")
			}
			tt.end(g)
			if may(t, g, "n1", tt.request) {
				t.Error("allowed after")
			}
		})
	}
	g := cluster()
	g.Retain(node.Volumes, func(string, string) bool { return false })
	if !may(t, g, "n1", "get pods ns/a") || may(t, g, "n1", "get persistentvolumes va") {
		t.Error("retaining volumes is not about volumes")
	}
}

// TestOrderDoesNotMatter applies random changes, and then says the same to a graph that was told only the final state.
func TestOrderDoesNotMatter(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		g := node.NewGraph()
		pods, volumes := map[string]*corev1.Pod{}, map[string]*corev1.PersistentVolume{}
		for range 60 {
			name := fmt.Sprint(r.IntN(6))
			switch r.IntN(5) {
			case 0:
				g.DeletePod("ns", name)
				delete(pods, name)
			case 1:
				g.DeleteVolume(name)
				delete(volumes, name)
			case 2, 3:
				// Two pods share each claim, and pods move.
				p := pod(fmt.Sprint(r.IntN(3)), []string{"", "n1", "n2", "n3"}[r.IntN(4)])
				p.Name = name
				g.ApplyPod(p)
				pods[name] = p
			case 4:
				v := volume(name, []string{"", "claim-0", "claim-1", "claim-2"}[r.IntN(4)], fmt.Sprint("csi-", r.IntN(2)))
				g.ApplyVolume(v)
				volumes[name] = v
			}
		}
		fresh := node.NewGraph()
		for _, v := range volumes {
			fresh.ApplyVolume(v)
		}
		for _, p := range pods {
			fresh.ApplyPod(p)
		}
		if g.Len() != fresh.Len() {
			t.Errorf("seed %d: %d pairs, %d of the final state alone", seed, g.Len(), fresh.Len())
		}
		for _, n := range []string{"n1", "n2", "n3"} {
			for i := range 6 {
				for _, ask := range []string{"get pods ns/%d", "get secrets ns/secret-%d", "get secrets csi/csi-%d", "get persistentvolumes %d"} {
					ask = fmt.Sprintf(ask, i)
					if got, want := may(t, g, n, ask), may(t, fresh, n, ask); got != want {
						t.Errorf("seed %d: %s %s: %v, of the final state alone %v", seed, n, ask, got, want)
					}
				}
			}
		}
		for name := range pods {
			g.DeletePod("ns", name)
		}
		if g.Len() != 0 {
			t.Errorf("seed %d: %d pairs without pods", seed, g.Len())
		}
	}
}

// TestWhatStaysIsNeverMissed reads while pods that share a secret come, change and go.
func TestWhatStaysIsNeverMissed(t *testing.T) {
	g := cluster()
	ask := []api.RequestInfo{request("get secrets ns/shared"), request("get secrets ns/secret-a"), request("get secrets csi/csi-a")}
	a := node.New(g)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for _, info := range ask {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if d, reason, _ := a.Authorize(t.Context(), kubelet("n1"), info); d != authz.Allow {
					t.Error(info.Name, reason)
					return
				}
			}
		})
	}
	for i := range 2000 {
		p := pod("a", "n1")
		p.Spec.ImagePullSecrets = p.Spec.ImagePullSecrets[:1+i%2]
		p.Spec.ServiceAccountName = fmt.Sprint(i)
		g.ApplyPod(p)
		g.ApplyPod(pod("c", "n1"))
		g.ApplyVolume(volume("va", "claim-a", "csi-a"))
		g.ApplyVolume(volume("vc", "claim-a", fmt.Sprint(i)))
		g.DeletePod("ns", "c")
	}
	close(stop)
	readers.Wait()
}
