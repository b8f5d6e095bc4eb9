package admission

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// AlwaysPullImages makes nodes ask the registry each time a container starts, so that nobody runs a private image that somebody else has pulled. It is a Mutator
// and a Validator, and decides like the plugin of that name in kube-apiserver.
type AlwaysPullImages struct{}

// Mutate sets the pull policy of new pods, and of pods that get another image.
func (p AlwaysPullImages) Mutate(_ context.Context, a *Attributes) error {
	return p.each(a, func(policy *corev1.PullPolicy, _ *field.Path) { *policy = corev1.PullAlways })
}

// Validate refuses with 403 another pull policy, which a later mutator has set.
func (p AlwaysPullImages) Validate(_ context.Context, a *Attributes) error {
	var faults []error
	err := p.each(a, func(policy *corev1.PullPolicy, at *field.Path) {
		if *policy != corev1.PullAlways {
			faults = append(faults, field.NotSupported(at, *policy, []corev1.PullPolicy{corev1.PullAlways}))
		}
	})
	if err == nil && len(faults) > 0 {
		return a.Forbidden(errors.Join(faults...))
	}
	return err
}

// each calls f for each pull policy of a pod that is created or gets another image.
func (AlwaysPullImages) each(a *Attributes, f func(*corev1.PullPolicy, *field.Path)) error {
	if !a.Concerns("", "pods") || !a.Writes() {
		return nil
	}
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return a.Undecoded()
	}
	if old, ok := a.OldObject.(*corev1.Pod); a.Operation == Update && ok {
		had, fresh := map[string]bool{}, false
		eachContainer(&old.Spec, func(c *corev1.Container, _ *field.Path) { had[c.Image] = true })
		eachContainer(&pod.Spec, func(c *corev1.Container, _ *field.Path) { fresh = fresh || !had[c.Image] })
		if !fresh {
			return nil
		}
	}
	eachContainer(&pod.Spec, func(c *corev1.Container, at *field.Path) { f(&c.ImagePullPolicy, at.Child("imagePullPolicy")) })
	for i, v := range pod.Spec.Volumes {
		if v.Image != nil {
			f(&v.Image.PullPolicy, field.NewPath("spec", "volumes").Index(i).Child("image", "pullPolicy"))
		}
	}
	return nil
}

// eachContainer calls f for the containers of all three lists.
func eachContainer(spec *corev1.PodSpec, f func(*corev1.Container, *field.Path)) {
	at := field.NewPath("spec")
	for i := range spec.InitContainers {
		f(&spec.InitContainers[i], at.Child("initContainers").Index(i))
	}
	for i := range spec.Containers {
		f(&spec.Containers[i], at.Child("containers").Index(i))
	}
	for i := range spec.EphemeralContainers {
		f((*corev1.Container)(&spec.EphemeralContainers[i].EphemeralContainerCommon), at.Child("ephemeralContainers").Index(i))
	}
}
