package wholecluster_test

import (
	"os"
	"strings"
	"testing"
	"time"
)

// The API servers that a cluster may have.
const (
	external  = "gatehouse"
	embedded  = "embedded"
	reference = "kube-apiserver"
)

// step is one thing that people do. Later steps build on earlier ones.
type step struct {
	name string
	do   func(*whole, *testing.T)
	// short steps are told to the embedded variant too.
	short bool
}

var story = []step{
	{"nodes join", nodesJoin, true},
	{"a deployment of 3 becomes ready", deploymentOfThree, true},
	{"it is scaled to 50", scaledToFifty, false},
	{"its image is updated and rolled back", rollingUpdate, false},
	{"a job completes", jobCompletes, true},
	{"a daemon set is on every node", daemonSet, false},
	{"a stateful set gets its volumes", statefulSet, false},
	{"an autoscaler says what it lacks", autoscaler, false},
	{"quota blocks the 11th pod", quotaBlocks, true},
	{"a budget blocks an eviction", budgetBlocks, false},
	{"a node is drained", nodeIsDrained, false},
	{"logs come from the kubelet", logs, true},
	{"exec runs at the kubelet", execs, true},
	{"nodes keep to what is theirs", nodesKeepToThemselves, true},
	{"a port is forwarded through the kubelet", forwards, true},
	{"the API server is killed and restarted", restarts, true},
	{"namespace deletion leaves nothing", namespacesGo, true},
}

func TestStory(t *testing.T) {
	servers := os.Getenv("GATEHOUSE_CLUSTER")
	if servers == "" {
		t.Skip("make cluster-test runs this")
	}
	for kind := range strings.SplitSeq(servers, ",") {
		t.Run(kind, func(t *testing.T) {
			w := start(t, kind)
			w.startKubelets(t)
			for _, step := range story {
				if kind == embedded && !step.short {
					continue
				}
				began := time.Now()
				ok := t.Run(step.name, func(t *testing.T) { step.do(w, t) })
				t.Logf("%-45s %v %s", step.name, ok, time.Since(began).Round(time.Millisecond))
				w.allAlive(t)
			}
		})
	}
}
