package resource_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	policyv1 "k8s.io/api/policy/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/resource"
)

const (
	podsPath    = "/api/v1/namespaces/default/pods"
	budgetsPath = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
)

// runs makes a pod that runs and is ready on a node.
func (c *cluster) runs(t testing.TB, name string) {
	t.Helper()
	c.must(t, "create", podsPath, `{"metadata":{"name":"`+name+`","labels":{"app":"a"}},"spec":{"nodeName":"n","containers":[{"name":"c","image":"a","resources":{"requests":{"cpu":"1"}}}]}}`)
	c.must(t, "update", podsPath+"/"+name+"/status", strings.Replace(c.must(t, "get", podsPath+"/"+name, ""), `"phase":"Pending"`,
		`"phase":"Running","conditions":[{"type":"Ready","status":"True"}]`, 1))
}

// budget makes a disruption budget for the pods of runs which allows so many disruptions.
func (c *cluster) budget(t testing.TB, name, allowed string) {
	t.Helper()
	made := c.must(t, "create", budgetsPath, `{"metadata":{"name":"`+name+`"},"spec":{"minAvailable":1,"selector":{"matchLabels":{"app":"a"}}}}`)
	status := `"status":{"observedGeneration":1,"disruptionsAllowed":` + allowed + `,"currentHealthy":3,"desiredHealthy":1,"expectedPods":3}`
	i := strings.Index(made, `"status":{`)
	c.must(t, "update", budgetsPath+"/"+name+"/status", made[:i]+status+"}")
}

func eviction(name string) string {
	return `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"` + name + `"}}`
}

func (c *cluster) evict(t testing.TB, pod, body string) int {
	t.Helper()
	_, err := c.do(t, request{verb: "create", path: podsPath + "/" + pod + "/eviction", body: body})
	return code(err)
}

func TestEviction(t *testing.T) {
	c := start(t)
	c.runs(t, "free")
	if got := c.evict(t, "free", eviction("other")); got != 400 {
		t.Errorf("an eviction of another pod: %d, want 400", got)
	}
	if got := c.evict(t, "none", eviction("none")); got != 404 {
		t.Errorf("a pod that does not exist: %d, want 404", got)
	}
	if got := c.evict(t, "free", eviction("free")); got != 0 {
		t.Fatalf("no budget: %d", got)
	}
	pod := c.must(t, "get", podsPath+"/free", "")
	if at(t, pod, "metadata.deletionTimestamp") == nil || !strings.Contains(pod, "DisruptionTarget") {
		t.Errorf("the pod is not on its way: %s", pod)
	}
	c.runs(t, "b")
	c.budget(t, "x", "0")
	if got := c.evict(t, "b", eviction("b")); got != 429 {
		t.Errorf("an exhausted budget: %d, want 429", got)
	}
	c.budget(t, "y", "1")
	if got := c.evict(t, "b", eviction("b")); got != 500 {
		t.Errorf("two budgets: %d, want 500", got)
	}
	c.must(t, "delete", budgetsPath+"/x", "")
	dry := strings.Replace(eviction("b"), `"metadata"`, `"deleteOptions":{"dryRun":["All"]},"metadata"`, 1)
	if got := c.evict(t, "b", dry); got != 0 || at(t, c.must(t, "get", budgetsPath+"/y", ""), "status.disruptionsAllowed") != float64(1) {
		t.Errorf("a dry run: %d, or it spent the budget", got)
	}
	stale := strings.Replace(eviction("b"), `"metadata"`, `"deleteOptions":{"preconditions":{"uid":"z"}},"metadata"`, 1)
	if got := c.evict(t, "b", stale); got != 409 || at(t, c.must(t, "get", budgetsPath+"/y", ""), "status.disruptionsAllowed") != float64(1) {
		t.Errorf("another pod than the client meant: %d, want 409, or it spent the budget", got)
	}
}

// TestEvictionsSpendABudgetOnce guards the promise of a budget: of many evictions at once, as many succeed as it allows.
func TestEvictionsSpendABudgetOnce(t *testing.T) {
	c := start(t)
	names := []string{"a", "b", "c", "d", "e"}
	for _, name := range names {
		c.runs(t, name)
	}
	c.budget(t, "x", "2")
	answers := make([]int, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() { answers[i] = c.evict(t, name, eviction(name)) })
	}
	wg.Wait()
	done, refused := 0, 0
	for _, a := range answers {
		switch a {
		case 0:
			done++
		case 429:
			refused++
		}
	}
	if done != 2 || refused != 3 {
		t.Errorf("answers %v: %d evicted, %d refused, want 2 and 3", answers, done, refused)
	}
}

// TestPartsOfPods guards that a right to a subresource is not one to the whole pod.
func TestPartsOfPods(t *testing.T) {
	c := start(t)
	c.runs(t, "p")
	whole := c.must(t, "get", podsPath+"/p", "")
	more := strings.NewReplacer(`"cpu":"1"`, `"cpu":"2"`, `"containers":[`, `"hostPID":true,"ephemeralContainers":[{"name":"e","image":"a"}],"containers":[`,
		`"app":"a"`, `"app":"b"`).Replace(whole)
	resized := c.must(t, "update", podsPath+"/p/resize", more)
	if at(t, resized, "spec.hostPID") != nil || at(t, resized, "spec.ephemeralContainers") != nil || at(t, resized, "metadata.labels.app") != "a" {
		t.Errorf("resize wrote more than sizes: %s", resized)
	}
	if at(t, resized, "metadata.generation") != float64(2) || !strings.Contains(resized, `"cpu":"2"`) {
		t.Errorf("resize wrote no sizes: %s", resized)
	}
	revision := func(s string) string {
		return `"resourceVersion":"` + at(t, s, "metadata.resourceVersion").(string) + `"`
	}
	debugged := c.must(t, "update", podsPath+"/p/ephemeralcontainers",
		strings.NewReplacer(revision(whole), revision(resized), `"cpu":"2"`, `"cpu":"3"`).Replace(more))
	if at(t, debugged, "spec.hostPID") != nil || at(t, debugged, "metadata.labels.app") != "a" || strings.Contains(debugged, `"cpu":"3"`) {
		t.Errorf("ephemeralcontainers wrote more than those: %s", debugged)
	}
	if at(t, debugged, "spec.ephemeralContainers") == nil || at(t, debugged, "metadata.generation") != float64(3) {
		t.Errorf("ephemeralcontainers wrote none: %s", debugged)
	}
}

// renamer makes every eviction one of another pod.
type renamer struct{}

func (renamer) Mutate(_ context.Context, a *admission.Attributes) error {
	if v, ok := a.Object.(*policyv1.Eviction); ok {
		v.Name, v.Namespace = "other", "kube-system"
	}
	return nil
}

// TestEvictionIsOfTheAuthorizedPod guards the pods that a client may not evict from what admission makes of the names in an eviction.
func TestEvictionIsOfTheAuthorizedPod(t *testing.T) {
	c := start(t, func(cfg *resource.Config, _ *cluster) {
		cfg.Admission.Mutators = append(cfg.Admission.Mutators, renamer{})
	})
	c.runs(t, "mine")
	c.runs(t, "other")
	if got := c.evict(t, "mine", eviction("mine")); got != 0 {
		t.Errorf("code %d", got)
	}
	for name, want := range map[string]bool{"mine": true, "other": false} {
		if gone := at(t, c.must(t, "get", podsPath+"/"+name, ""), "metadata.deletionTimestamp") != nil; gone != want {
			t.Errorf("%s is being deleted: %v, want %v", name, gone, want)
		}
	}
}
