package admission_test

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/admission"
)

// serviceAttributes is a write of a Service by alice; without old addresses it is a create.
func serviceAttributes(t *testing.T, now, old []string) *admission.Attributes {
	t.Helper()
	a := podAttributes(t, "default")
	a.Resource.Resource, a.Name = "services", "web"
	a.Object = &corev1.Service{Spec: corev1.ServiceSpec{ExternalIPs: now}}
	if old != nil {
		a.Operation, a.OldObject = admission.Update, &corev1.Service{Spec: corev1.ServiceSpec{ExternalIPs: old}}
	}
	return a
}

func TestExternalIPsAreRefusedUnlessTheyWereThere(t *testing.T) {
	const refused = `services "web" is forbidden: Use of external IPs is denied by admission control`
	for name, test := range map[string]struct {
		now, old []string
		message  string
	}{
		"a create without":     {nil, nil, ""},
		"a create with one":    {[]string{"1.2.3.4"}, nil, refused},
		"one more":             {[]string{"1.2.3.4", "5.6.7.8"}, []string{"1.2.3.4"}, refused},
		"another":              {[]string{"5.6.7.8"}, []string{"1.2.3.4"}, refused},
		"one less":             {[]string{"1.2.3.4"}, []string{"5.6.7.8", "1.2.3.4"}, ""},
		"an update to the one": {[]string{"1.2.3.4"}, []string{}, refused},
	} {
		t.Run(name, func(t *testing.T) {
			if _, got := refusal(t, admission.DenyServiceExternalIPs{}.Validate(t.Context(), serviceAttributes(t, test.now, test.old))); got != test.message {
				t.Errorf("got %q, want %q", got, test.message)
			}
		})
	}
	a := serviceAttributes(t, []string{"1.2.3.4"}, []string{})
	a.Subresource = "status"
	if err := (admission.DenyServiceExternalIPs{}).Validate(t.Context(), a); err != nil {
		t.Errorf("the status: %v", err)
	}
	a = serviceAttributes(t, nil, nil)
	a.Object = &corev1.Pod{}
	if err := (admission.DenyServiceExternalIPs{}).Validate(t.Context(), a); err == nil {
		t.Error("what cannot be looked at was let through")
	}
}

// everywhere has an image in each place that can have one.
func everywhere(policy corev1.PullPolicy) *corev1.Pod {
	c := corev1.Container{Name: "c", Image: "i:1", ImagePullPolicy: policy}
	return &corev1.Pod{Spec: corev1.PodSpec{
		Containers: []corev1.Container{c}, InitContainers: []corev1.Container{c},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon(c)}},
		Volumes:             []corev1.Volume{{VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "v", PullPolicy: policy}}}, {}},
	}}
}

func TestImagesAreAlwaysPulled(t *testing.T) {
	p := admission.AlwaysPullImages{}
	a := podAttributes(t, "default")
	a.Object = everywhere(corev1.PullNever)
	if _, got := refusal(t, p.Validate(t.Context(), a)); got != `pods "web" is forbidden: spec.initContainers[0].imagePullPolicy: Unsupported value: "Never": supported values: "Always"
spec.containers[0].imagePullPolicy: Unsupported value: "Never": supported values: "Always"
spec.ephemeralContainers[0].imagePullPolicy: Unsupported value: "Never": supported values: "Always"
spec.volumes[0].image.pullPolicy: Unsupported value: "Never": supported values: "Always"` {
		t.Errorf("what a later mutator leaves: %s", got)
	}
	if err := errors.Join(p.Mutate(t.Context(), a), p.Validate(t.Context(), a)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(everywhere(corev1.PullAlways), a.Object); diff != "" {
		t.Errorf("a create (-want +got):\n%s", diff)
	}
	a.Operation, a.Object, a.OldObject = admission.Update, everywhere(corev1.PullNever), everywhere(corev1.PullNever)
	if err := errors.Join(p.Mutate(t.Context(), a), p.Validate(t.Context(), a)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(everywhere(corev1.PullNever), a.Object); diff != "" {
		t.Errorf("an update that pulls nothing (-want +got):\n%s", diff)
	}
	a.Object.(*corev1.Pod).Spec.Containers[0].Image = "i:2"
	if err := p.Mutate(t.Context(), a); err != nil || a.Object.(*corev1.Pod).Spec.Containers[0].ImagePullPolicy != corev1.PullAlways {
		t.Errorf("another image: %v %+v", err, a.Object)
	}
}

func TestNamespaceExists(t *testing.T) {
	n := admission.NamespaceExists{Namespaces: cluster()}
	for name, test := range map[string]struct {
		namespace string
		operation admission.Operation
		code      int
	}{
		"a create":                     {"default", admission.Create, 0},
		"a create in a missing one":    {"nosuch", admission.Create, 404},
		"a delete in a missing one":    {"nosuch", admission.Delete, 404},
		"a connection":                 {"nosuch", admission.Connect, 0},
		"what is in no namespace":      {"", admission.Create, 0},
		"an unreadable store refuses":  {"unreadable", admission.Update, 500},
		"one that ends is still there": {"ending", admission.Create, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a := podAttributes(t, test.namespace)
			a.Operation = test.operation
			if code, _ := refusal(t, n.Validate(t.Context(), a)); code != test.code {
				t.Errorf("got %d, want %d", code, test.code)
			}
		})
	}
}

// maker notes which namespaces it made.
type maker struct {
	made *[]string
	err  error
}

func (m maker) MakeNamespace(_ context.Context, name string) error {
	*m.made = append(*m.made, name)
	return m.err
}

func TestNamespaceAutoProvision(t *testing.T) {
	for name, test := range map[string]struct {
		namespace string
		change    func(*admission.Attributes)
		err       error
		made      []string
		code      int
	}{
		"one that is there":           {"default", nil, nil, nil, 0},
		"one that is missing":         {"nosuch", nil, nil, []string{"nosuch"}, 0},
		"a dry run makes none":        {"nosuch", func(a *admission.Attributes) { a.DryRun = true }, nil, nil, 0},
		"an update makes none":        {"nosuch", func(a *admission.Attributes) { a.Operation = admission.Update }, nil, nil, 0},
		"what is in no namespace":     {"", nil, nil, nil, 0},
		"an unreadable store refuses": {"unreadable", nil, nil, nil, 403},
		"one that cannot be made":     {"nosuch", nil, errors.New("etcd is full"), []string{"nosuch"}, 403},
		"a namespace": {"nosuch", func(a *admission.Attributes) {
			a.Kind, a.Resource = corev1.SchemeGroupVersion.WithKind("Namespace"), corev1.SchemeGroupVersion.WithResource("namespaces")
		}, nil, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var made []string
			a := podAttributes(t, test.namespace)
			if test.change != nil {
				test.change(a)
			}
			p := admission.NamespaceAutoProvision{Namespaces: cluster(), Maker: maker{&made, test.err}}
			if code, text := refusal(t, p.Mutate(t.Context(), a)); code != test.code {
				t.Errorf("got %d %s, want %d", code, text, test.code)
			}
			if diff := cmp.Diff(test.made, made); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAlwaysDeny(t *testing.T) {
	if code, text := refusal(t, admission.AlwaysDeny{}.Validate(t.Context(), podAttributes(t, "default"))); code != 403 ||
		text != `pods "web" is forbidden: admission control is denying all modifications` {
		t.Errorf("got %d %s", code, text)
	}
}
