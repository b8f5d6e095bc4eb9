package admission

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"

	"github.com/gatehouse/gatehouse/api"
)

// PriorityClasses finds priority classes. The objects are not changed by the caller.
type PriorityClasses interface {
	// PriorityClass returns the class of that name, and whether there is one.
	PriorityClass(ctx context.Context, name string) (*schedulingv1.PriorityClass, bool, error)
	// PriorityClasses returns all of them in any order.
	PriorityClasses(ctx context.Context) ([]*schedulingv1.PriorityClass, error)
}

// Priority gives new pods the number and the preemption policy of their priority class, or of the default one, and keeps a second class
// from becoming the default. It is a Mutator and a Validator, and decides like the plugin of that name in kube-apiserver.
type Priority struct {
	// Classes is required.
	Classes PriorityClasses
}

// Mutate fills in spec.priority, spec.priorityClassName and spec.preemptionPolicy of pods. It refuses with 403 a class that does not
// exist and values that contradict it.
func (p Priority) Mutate(ctx context.Context, a *Attributes) error {
	if !a.Concerns("", "pods") || !a.Writes() {
		return nil
	}
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return a.Undecoded()
	}
	if a.Operation == Create {
		return p.resolve(ctx, a, &pod.Spec)
	}
	old, ok := a.OldObject.(*corev1.Pod)
	if !ok {
		return a.Undecoded()
	}
	// A client that sends what it once created does not know what was filled in.
	if pod.Spec.Priority == nil {
		pod.Spec.Priority = old.Spec.Priority
	}
	if pod.Spec.PreemptionPolicy == nil {
		pod.Spec.PreemptionPolicy = old.Spec.PreemptionPolicy
	}
	return nil
}

func (p Priority) resolve(ctx context.Context, a *Attributes, spec *corev1.PodSpec) error {
	name, value, policy, err := p.find(ctx, a, spec.PriorityClassName)
	if err != nil {
		return err
	}
	spec.PriorityClassName = name
	if spec.Priority != nil && *spec.Priority != value {
		return a.Forbidden(fmt.Errorf("the integer value of priority (%d) must not be provided in pod spec; "+
			"priority admission controller computed %d from the given PriorityClass name", *spec.Priority, value))
	}
	spec.Priority = &value
	if policy == nil {
		return nil
	}
	if spec.PreemptionPolicy != nil && *spec.PreemptionPolicy != *policy {
		return a.Forbidden(fmt.Errorf("the string value of PreemptionPolicy (%s) must not be provided in pod spec; "+
			"priority admission controller computed %s from the given PriorityClass name", *spec.PreemptionPolicy, *policy))
	}
	own := *policy
	spec.PreemptionPolicy = &own
	return nil
}

// find returns what the named class says, or the default one if name is empty; without either, priority 0 which preempts.
func (p Priority) find(ctx context.Context, a *Attributes, name string) (string, int32, *corev1.PreemptionPolicy, error) {
	if name != "" {
		class, found, err := p.Classes.PriorityClass(ctx, name)
		switch {
		case err != nil:
			return "", 0, nil, api.ToError(err)
		case !found:
			return "", 0, nil, a.Forbidden(fmt.Errorf("no PriorityClass with name %v was found", name))
		}
		return name, class.Value, class.PreemptionPolicy, nil
	}
	class, err := p.byDefault(ctx)
	if err != nil {
		return "", 0, nil, err
	}
	if class == nil {
		preempts := corev1.PreemptLowerPriority
		return "", 0, &preempts, nil
	}
	return class.Name, class.Value, class.PreemptionPolicy, nil
}

// byDefault is the global default, nil for none. Of several, which only a race can make, it is the lowest.
func (p Priority) byDefault(ctx context.Context) (*schedulingv1.PriorityClass, error) {
	list, err := p.Classes.PriorityClasses(ctx)
	if err != nil {
		return nil, api.ToError(err)
	}
	var lowest *schedulingv1.PriorityClass
	for _, c := range list {
		if c.GlobalDefault && (lowest == nil || c.Value < lowest.Value) {
			lowest = c
		}
	}
	return lowest, nil
}

// Validate refuses with 403 a priority class that would be the second default.
func (p Priority) Validate(ctx context.Context, a *Attributes) error {
	if !a.Concerns(schedulingv1.GroupName, "priorityclasses") || !a.Writes() {
		return nil
	}
	class, ok := a.Object.(*schedulingv1.PriorityClass)
	if !ok {
		return a.Undecoded()
	}
	if !class.GlobalDefault {
		return nil
	}
	other, err := p.byDefault(ctx)
	if err != nil {
		return err
	}
	if other == nil || (a.Operation == Update && other.Name == class.Name) {
		return nil
	}
	return a.Forbidden(fmt.Errorf("PriorityClass %v is already marked as default. Only one default can exist", other.Name))
}
