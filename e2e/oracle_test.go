package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

// oracle is a pair of servers that get the same requests.
type oracle struct {
	kube, ours *side
}

// side is one of the two, with the etcd that only it uses.
type side struct {
	server *cluster.Server
	etcd   *cluster.EtcdServer
	admin  *http.Client
	plain  *http.Client // without the administrator's certificate
}

// TestOracle asks both servers the same questions. A difference fails the test
// unless it is accepted by name, and so does a name that no longer differs.
func TestOracle(t *testing.T) {
	o := startOracle(t)
	var found []finding
	// Each topic starts from what the topics before it have left.
	for _, topic := range []struct {
		name string
		ask  func(*testing.T, *oracle) []finding
	}{
		{"default RBAC objects", compareRBAC},
		{"discovery", compareDiscovery},
		{"etcd keys", compareKeys},
		{"answers", compareAnswers},
	} {
		t.Run(topic.name, func(t *testing.T) {
			here := topic.ask(t, o)
			found = append(found, here...)
			for _, f := range here {
				if !slices.ContainsFunc(accepted(), func(a divergence) bool { return a.covers(f) }) {
					t.Error(f)
				}
			}
		})
	}
	for _, a := range accepted() {
		if !slices.ContainsFunc(found, a.covers) {
			t.Errorf("accepted difference %s (%s) is not one any more: remove it", a.where, a.reason)
		}
	}
}

// divergence is a difference that is meant.
type divergence struct {
	where  *regexp.Regexp // matches finding.where
	reason string
}

func (d divergence) covers(f finding) bool { return d.where.MatchString(f.where) }

func startOracle(t *testing.T) *oracle {
	t.Helper()
	tokens := filepath.Join(t.TempDir(), "tokens.csv")
	if err := os.WriteFile(tokens, []byte("viewer-token,viewer,viewer-uid,\"readers\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	kube, kubeEtcd := startKube(t, "--token-auth-file="+tokens)
	etcd := startEtcd(t)
	// The reference has no controller manager beside it, so nothing does here what one would.
	args := []string{"--token-auth-file=" + tokens, "--standalone-loops=false"}
	ours := startGatehouse(t, cluster.GatehouseOptions{EtcdURL: etcd.URL, Args: args})
	return &oracle{kube: newSide(t, kube, kubeEtcd), ours: newSide(t, ours, etcd)}
}

func newSide(t *testing.T, server *cluster.Server, etcd *cluster.EtcdServer) *side {
	t.Helper()
	admin, err := server.Client()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := server.AnonymousClient()
	if err != nil {
		t.Fatal(err)
	}
	return &side{server: server, etcd: etcd, admin: admin, plain: plain}
}

// both gets one path from both servers and compares the decoded answers.
func both(t *testing.T, o *oracle, topic, path, accept string) []finding {
	t.Helper()
	return diff(topic, o.kube.get(t, path, accept), o.ours.get(t, path, accept))
}

// get returns the decoded and normalised JSON at a path, or a string that names
// the status.
func (s *side) get(t *testing.T, path, accept string) any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := s.admin.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		return resp.Status
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return fmt.Sprintf("%s, not JSON: %v", resp.Status, err)
	}
	return normal(value)
}

const jsonType = "application/json"

func compareRBAC(t *testing.T, o *oracle) []finding {
	var found []finding
	for _, resource := range []string{"clusterroles", "clusterrolebindings", "roles", "rolebindings"} {
		found = append(found, both(t, o, "rbac "+resource, "/apis/rbac.authorization.k8s.io/v1/"+resource, jsonType)...)
	}
	return found
}

func compareDiscovery(t *testing.T, o *oracle) []finding {
	const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	var found []finding
	for _, path := range []string{"/api", "/apis", "/api/v1", "/version"} {
		found = append(found, both(t, o, "discovery "+path, path, jsonType)...)
	}
	for _, path := range []string{"/api", "/apis"} {
		found = append(found, both(t, o, "aggregated discovery "+path, path, aggregated)...)
	}
	var groups struct {
		Groups []struct {
			Name     string
			Versions []struct{ GroupVersion string }
		}
	}
	data, err := json.Marshal(o.kube.get(t, "/apis", jsonType))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &groups); err != nil {
		t.Fatal(err)
	}
	if len(groups.Groups) == 0 {
		t.Fatal("kube-apiserver serves no groups: nothing is compared")
	}
	for _, group := range groups.Groups {
		found = append(found, both(t, o, "discovery /apis/"+group.Name, "/apis/"+group.Name, jsonType)...)
		for _, version := range group.Versions {
			path := "/apis/" + version.GroupVersion
			found = append(found, both(t, o, "discovery "+path, path, jsonType)...)
		}
	}
	return found
}

// compareKeys creates one object of every kind on both sides and compares where
// they are in etcd and how their values are encoded.
func compareKeys(t *testing.T, o *oracle) []finding {
	kube, ours := o.kube.create(t, "testdata/oracle/objects.yaml"), o.ours.create(t, "testdata/oracle/objects.yaml")
	found := diff("create objects", kube, ours)
	return append(found, diff("etcd", o.kube.keys(t), o.ours.keys(t))...)
}

// create gives a file to kubectl and returns what it says, line by line.
func (s *side) create(t *testing.T, file string) map[string]any {
	t.Helper()
	kubectl := filepath.Join(build(t, cluster.Kubectl), string(cluster.Kubectl))
	cmd := exec.CommandContext(t.Context(), kubectl, "--kubeconfig="+s.server.Kubeconfig, "create", "--validate=false", "-f", file)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	lines := map[string]any{"exit": fmt.Sprint(err)}
	for line := range strings.Lines(string(out)) {
		lines["["+strings.TrimSpace(line)+"]"] = true
	}
	return lines
}

// keys returns every key in etcd with the encoding of its value.
func (s *side) keys(t *testing.T) map[string]any {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{s.etcd.URL}, Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	resp, err := client.Get(t.Context(), "/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	keys := make(map[string]any, len(resp.Kvs))
	for _, kv := range resp.Kvs {
		keys[fmt.Sprintf("[%s]", normal(string(kv.Key)))] = encoding(kv.Value)
	}
	return keys
}
