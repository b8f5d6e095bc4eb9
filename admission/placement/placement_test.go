package placement_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/admission/placement"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world has the node "labelled", and every namespace with the same annotations.
type world map[string]string

func (world) Node(_ context.Context, name string) (*corev1.Node, bool, error) {
	switch name {
	case "unreadable":
		return nil, false, errors.New("etcd is gone")
	case "labelled":
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{
			corev1.LabelTopologyZone: "z1", corev1.LabelTopologyRegion: "r1", corev1.LabelHostname: "h",
		}}}, true, nil
	case "bare":
		return &corev1.Node{}, true, nil
	}
	return nil, false, nil
}

func (w world) Namespace(_ context.Context, name string) (*corev1.Namespace, bool, error) {
	if name == "unreadable" {
		return nil, false, errors.New("etcd is gone")
	}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: w}}, name != "missing", nil
}

type allowAll struct{}

func (allowAll) Authorize(context.Context, api.User, api.RequestInfo) (authz.Decision, string, error) {
	return authz.Allow, "test", nil
}

// creation is a create of the pod web in the namespace.
func creation(t *testing.T, namespace, plural string, change func(*corev1.Pod)) (*admission.Attributes, *corev1.Pod) {
	t.Helper()
	info := api.RequestInfo{IsResource: true, Verb: "create", Version: "v1", Resource: plural, Namespace: namespace}
	permit, err := authz.Chain{Allowers: []authz.Authorizer{allowAll{}}}.Permit(t.Context(), api.User{Name: "alice"}, info)
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}}}
	if change != nil {
		change(pod)
	}
	return &admission.Attributes{
		Permit: permit, Operation: admission.Create, Namespace: namespace, Name: "web", Object: pod, Resource: corev1.SchemeGroupVersion.WithResource("pods"),
	}, pod
}

// both runs a plugin as the chain does.
func both(t *testing.T, p any, a *admission.Attributes) string {
	t.Helper()
	var err error
	if m, ok := p.(admission.Mutator); ok {
		err = m.Mutate(t.Context(), a)
	}
	if v, ok := p.(admission.Validator); ok && err == nil {
		err = v.Validate(t.Context(), a)
	}
	if err == nil {
		return ""
	}
	var e *api.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is not an *api.Error: %v", err, err)
	}
	return e.Status.Message
}

func TestPodTopologyLabels(t *testing.T) {
	zoned := map[string]string{corev1.LabelTopologyZone: "z1", corev1.LabelTopologyRegion: "r1"}
	for name, test := range map[string]struct {
		node, plural string
		labels, want map[string]string
		change       func(*admission.Attributes)
		refused      bool
	}{
		"a create on a node":             {node: "labelled", want: zoned},
		"labels of the pod's own":        {node: "labelled", labels: map[string]string{corev1.LabelTopologyZone: "mine", "a": "b"}, want: map[string]string{corev1.LabelTopologyZone: "z1", corev1.LabelTopologyRegion: "r1", "a": "b"}},
		"a node without them":            {node: "bare", labels: map[string]string{corev1.LabelTopologyZone: "mine"}, want: map[string]string{corev1.LabelTopologyZone: "mine"}},
		"a node that is missing":         {node: "missing"},
		"a pod without a node":           {},
		"a node that cannot be read":     {node: "unreadable", refused: true},
		"a binding":                      {node: "labelled", want: zoned, change: func(a *admission.Attributes) { a.Operation, a.Subresource = admission.Update, "binding" }},
		"a binding by the older way":     {node: "labelled", plural: "bindings", change: func(a *admission.Attributes) { a.Operation, a.Subresource = admission.Update, "binding" }},
		"an update":                      {node: "labelled", change: func(a *admission.Attributes) { a.Operation = admission.Update }},
		"the status":                     {node: "labelled", change: func(a *admission.Attributes) { a.Operation, a.Subresource = admission.Update, "status" }},
		"an object that is not a pod":    {node: "labelled", change: func(a *admission.Attributes) { a.Object = &corev1.Node{} }, refused: true},
		"a resource that is not a pod's": {node: "labelled", change: func(a *admission.Attributes) { a.Resource.Resource = "podtemplates" }},
	} {
		t.Run(name, func(t *testing.T) {
			plural := "pods"
			if test.plural != "" {
				plural = test.plural
			}
			a, pod := creation(t, "ns", plural, func(p *corev1.Pod) { p.Labels, p.Spec.NodeName = test.labels, test.node })
			if test.change != nil {
				test.change(a)
			}
			if text := both(t, placement.PodTopologyLabels{Nodes: world{}}, a); (text != "") != test.refused {
				t.Errorf("refused: %q", text)
			}
			if diff := cmp.Diff(test.want, pod.Labels); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLimitPodHardAntiAffinityTopology(t *testing.T) {
	for key, want := range map[string]string{
		corev1.LabelHostname:     "",
		corev1.LabelTopologyZone: `pods "web" is forbidden: affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey topology.kubernetes.io/zone but only key kubernetes.io/hostname is allowed`,
	} {
		a, _ := creation(t, "ns", "pods", func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: corev1.LabelHostname}, {TopologyKey: key}},
			}}
		})
		if got := both(t, placement.LimitPodHardAntiAffinityTopology{}, a); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	a, _ := creation(t, "ns", "pods", nil)
	if got := both(t, placement.LimitPodHardAntiAffinityTopology{}, a); got != "" {
		t.Errorf("no affinity: %s", got)
	}
}

func TestPodNodeSelector(t *testing.T) {
	selectors, err := placement.ParseNodeSelectors([]byte("podNodeSelectorPluginConfig: {clusterDefaultNodeSelector: env=test, limited: 'env=test,a=b'}"))
	if err != nil {
		t.Fatal(err)
	}
	const (
		forbidden = `pods "web" is forbidden: `
		conflicts = forbidden + "pod node label selector conflicts with its namespace node label selector"
		limits    = forbidden + "pod node label selector labels conflict with its namespace whitelist"
	)
	type set = map[string]string
	for name, test := range map[string]struct {
		namespace   string
		annotations world
		pod, want   set
		message     string
	}{
		"the default":                 {want: set{"env": "test"}},
		"beside the pod's own":        {pod: set{"k": "v"}, want: set{"env": "test", "k": "v"}},
		"against the pod's own":       {pod: set{"env": "prod"}, want: set{"env": "prod"}, message: conflicts},
		"the namespace's":             {annotations: world{"scheduler.alpha.kubernetes.io/node-selector": "x=y"}, want: set{"x": "y"}},
		"the namespace wants none":    {annotations: world{"scheduler.alpha.kubernetes.io/node-selector": ""}},
		"what cannot be read refuses": {annotations: world{"scheduler.alpha.kubernetes.io/node-selector": "x"}, message: forbidden + "the annotation scheduler.alpha.kubernetes.io/node-selector of its namespace: invalid selector: [x]"},
		"what a namespace may":        {namespace: "limited", pod: set{"a": "b"}, want: set{"a": "b", "env": "test"}},
		"a value that it may not":     {namespace: "limited", pod: set{"a": "c"}, want: set{"a": "c", "env": "test"}, message: limits},
		"a label that it may not":     {namespace: "limited", pod: set{"c": "c"}, want: set{"c": "c", "env": "test"}, message: limits},
		"an unreadable one refuses":   {namespace: "unreadable", message: "Internal error occurred: the server could not complete the request"},
		"one that is missing refuses": {namespace: "missing", message: forbidden + "namespace missing does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := "ns"
			if test.namespace != "" {
				namespace = test.namespace
			}
			a, pod := creation(t, namespace, "pods", func(p *corev1.Pod) { p.Spec.NodeSelector = test.pod })
			if got := both(t, placement.PodNodeSelector{Selectors: selectors, Namespaces: test.annotations}, a); got != test.message {
				t.Errorf("got  %s\nwant %s", got, test.message)
			}
			if diff := cmp.Diff(test.want, pod.Spec.NodeSelector); diff != "" {
				t.Errorf("selector (-want +got):\n%s", diff)
			}
		})
	}
	for text, want := range map[string]string{
		"{":                   "yaml",
		"podNodeSelector: {}": `unknown field "podNodeSelector"`,
		"podNodeSelectorPluginConfig: {ns: 'a b'}": "podNodeSelectorPluginConfig.ns: ",
	} {
		if _, err := placement.ParseNodeSelectors([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", text, err, want)
		}
	}
}

func exists(key string, effect corev1.TaintEffect) corev1.Toleration {
	return corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: effect}
}

func TestPodTolerationRestriction(t *testing.T) {
	cluster, err := placement.ParseTolerations([]byte(`
apiVersion: podtolerationrestriction.admission.k8s.io/v1alpha1
kind: Configuration
default: [{key: d, operator: Exists}]
whitelist: [{key: d, operator: Exists}, {key: ok, operator: Exists}, {key: node.kubernetes.io/memory-pressure, operator: Exists}]
`))
	if err != nil {
		t.Fatal(err)
	}
	const (
		forbidden = `pods "web" is forbidden: `
		conflict  = forbidden + "pod tolerations (possibly merged with namespace default tolerations) conflict with its "
		defaults  = "scheduler.alpha.kubernetes.io/defaultTolerations"
		allowed   = "scheduler.alpha.kubernetes.io/tolerationsWhitelist"
	)
	type list = []corev1.Toleration
	seconds := func(n int64) corev1.Toleration {
		return corev1.Toleration{Key: "d", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &n}
	}
	for name, test := range map[string]struct {
		namespace   string
		annotations world
		pod, want   list
		change      func(*admission.Attributes, *corev1.Pod)
		message     string
	}{
		"the default":                      {want: list{exists("d", "")}},
		"beside the pod's own":             {pod: list{exists("ok", "NoSchedule")}, want: list{exists("ok", "NoSchedule"), exists("d", "")}},
		"the wider one stays":              {pod: list{exists("d", "NoExecute"), exists("d", "")}, want: list{exists("d", "")}},
		"a shorter one is covered":         {pod: list{seconds(5)}, want: list{exists("d", "")}},
		"one that is not allowed":          {pod: list{exists("bad", "")}, want: list{exists("bad", ""), exists("d", "")}, message: conflict + "cluster whitelist"},
		"all keys are more than one":       {pod: list{exists("", "")}, want: list{exists("", "")}, message: conflict + "cluster whitelist"},
		"the namespace's":                  {annotations: world{defaults: `[{"key":"ok","operator":"Exists"}]`}, want: list{exists("ok", "")}},
		"the namespace wants none":         {annotations: world{defaults: ""}},
		"the namespace allows any":         {annotations: world{defaults: "", allowed: ""}, pod: list{exists("bad", "")}, want: list{exists("bad", "")}},
		"the namespace allows others":      {annotations: world{allowed: `[{"key":"x"}]`}, want: list{exists("d", "")}, message: conflict + "namespace whitelist"},
		"a value that is allowed":          {annotations: world{defaults: "", allowed: `[{"key":"x","value":"1"}]`}, pod: list{{Key: "x", Operator: "Equal", Value: "1"}}, want: list{{Key: "x", Operator: "Equal", Value: "1"}}},
		"another value":                    {annotations: world{defaults: "", allowed: `[{"key":"x","value":"1"}]`}, pod: list{{Key: "x", Operator: "Equal", Value: "2"}}, want: list{{Key: "x", Operator: "Equal", Value: "2"}}, message: conflict + "namespace whitelist"},
		"for longer than is allowed":       {annotations: world{defaults: "", allowed: `[{"key":"d","operator":"Exists","effect":"NoExecute","tolerationSeconds":5}]`}, pod: list{seconds(6)}, want: list{seconds(6)}, message: conflict + "namespace whitelist"},
		"an operator that nobody knows":    {annotations: world{defaults: "", allowed: `[{"key":"x","operator":"Gt"}]`}, pod: list{exists("x", "")}, want: list{exists("x", "")}, message: conflict + "namespace whitelist"},
		"what cannot be read refuses":      {annotations: world{defaults: `{`}, message: forbidden + "the annotation " + defaults + " of its namespace: unexpected end of JSON input"},
		"an unreadable namespace refuses":  {namespace: "unreadable", message: "Internal error occurred: the server could not complete the request"},
		"a namespace that is missing, too": {namespace: "missing", message: forbidden + "namespace missing does not exist"},
		"a pod that asks for something": {
			change: func(_ *admission.Attributes, p *corev1.Pod) {
				p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse("1")}
			},
			want: list{exists("d", ""), exists(corev1.TaintNodeMemoryPressure, "NoSchedule")},
		},
		"an update": {change: func(a *admission.Attributes, _ *corev1.Pod) { a.Operation = admission.Update }},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := "ns"
			if test.namespace != "" {
				namespace = test.namespace
			}
			a, pod := creation(t, namespace, "pods", func(p *corev1.Pod) { p.Spec.Tolerations = test.pod })
			if test.change != nil {
				test.change(a, pod)
			}
			if got := both(t, placement.PodTolerationRestriction{Tolerations: cluster, Namespaces: test.annotations}, a); got != test.message {
				t.Errorf("got  %s\nwant %s", got, test.message)
			}
			if diff := cmp.Diff(test.want, pod.Spec.Tolerations); diff != "" {
				t.Errorf("tolerations (-want +got):\n%s", diff)
			}
		})
	}
	const head = "apiVersion: podtolerationrestriction.admission.k8s.io/v1alpha1\nkind: Configuration\n"
	for text, want := range map[string]string{
		"{":                                      "yaml",
		"kind: Pod":                              "want podtolerationrestriction.admission.k8s.io/v1alpha1 Configuration",
		head + "defaults: []":                    `unknown field "defaults"`,
		head + "whitelist: [{operator: Equals}]": `whitelist[0].operator: "Equals" is neither Equal nor Exists`,
	} {
		if _, err := placement.ParseTolerations([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", text, err, want)
		}
	}
}

func TestExtendedResourceToleration(t *testing.T) {
	a, pod := creation(t, "ns", "pods", func(p *corev1.Pod) {
		one, ten := resource.MustParse("1"), int64(10)
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{
			"example.com/gpu": one, "cpu": one, "hugepages-2Mi": one, "kubernetes.io/x": one, "requests.example.com/y": one, "a/b/c": one, "example.com/had": one,
		}
		p.Spec.InitContainers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"example.com/fpga": one, "example.com/gpu": one}}}}
		had := exists("example.com/had", "NoSchedule")
		had.TolerationSeconds = &ten
		p.Spec.Tolerations = []corev1.Toleration{had}
	})
	for range 2 { // the second round of mutators changes nothing
		if got := both(t, placement.ExtendedResourceToleration{}, a); got != "" {
			t.Fatal(got)
		}
		want := []corev1.Toleration{exists("example.com/had", "NoSchedule"), exists("example.com/fpga", "NoSchedule"), exists("example.com/gpu", "NoSchedule")}
		if diff := cmp.Diff(want, pod.Spec.Tolerations); diff != "" {
			t.Errorf("tolerations (-want +got):\n%s", diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("podNodeSelectorPluginConfig: {clusterDefaultNodeSelector: env=test}"))
	f.Add([]byte("apiVersion: podtolerationrestriction.admission.k8s.io/v1alpha1\nkind: Configuration\ndefault: [{key: a}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := placement.ParseNodeSelectors(data); err != nil && (s.Default != nil || s.Allowed != nil) {
			t.Errorf("%q: half of it is used: %v", data, s)
		}
		if l, err := placement.ParseTolerations(data); err != nil && (l.Default != nil || l.Allowed != nil) {
			t.Errorf("%q: half of it is used: %v", data, l)
		}
	})
}
