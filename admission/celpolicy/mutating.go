package celpolicy

import (
	"context"
	"errors"
	"fmt"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
)

// Merging says how the values of a kind are merged; false for a kind that it does not know.
type Merging interface {
	Type(kind schema.GroupVersionKind) (typed.ParseableType, bool, error)
}

// Mutating changes objects by the MutatingAdmissionPolicies. It is a Mutator, to be asked after the built-in ones.
type Mutating struct {
	config  Config
	merging Merging
	held    holder[*admissionregistrationv1.MutatingAdmissionPolicy, *admissionregistrationv1.MutatingAdmissionPolicyBinding, *mutator]
}

// NewMutating returns a mutator with the policies of the source.
func NewMutating(
	c Config, m Merging, s Source[*admissionregistrationv1.MutatingAdmissionPolicy, *admissionregistrationv1.MutatingAdmissionPolicyBinding],
) *Mutating {
	made := &Mutating{config: c, merging: m}
	made.held.source, made.held.define, made.held.bind = s, made.define, bindMutating
	return made
}

func (m *Mutating) define(p *admissionregistrationv1.MutatingAdmissionPolicy) *definition[*mutator] {
	return &definition[*mutator]{
		name: p.Name, revision: string(p.UID) + "/" + p.ResourceVersion, match: newCriteria(p.Spec.MatchConstraints), paramKind: p.Spec.ParamKind,
		ignore: ignores(p.Spec.FailurePolicy), compiled: sync.OnceValue(func() *mutator { return newMutator(m.config.Scopes, &p.Spec) }),
	}
}

func bindMutating(b *admissionregistrationv1.MutatingAdmissionPolicyBinding) (string, *binding) {
	made := &binding{name: b.Name, paramRef: b.Spec.ParamRef}
	if b.Spec.MatchResources != nil {
		made.match = newCriteria(b.Spec.MatchResources)
	}
	return b.Spec.PolicyName, made
}

// invocation is a policy to be applied through a binding with one set of parameters.
type invocation struct {
	*bound[*mutator]
	binding *binding
	as      Served
	param   param
}

// key tells invocations of one request apart.
func (i *invocation) key() [3]string { return [3]string{i.name, i.binding.name, i.param.name} }

// fault is what is wrong with a policy that does not ignore its errors.
type fault struct {
	policy, binding string
	err             error
	reason          metav1.StatusReason
}

// pluginName is the name under which a request keeps what this plugin knows of its first round.
const pluginName = "MutatingAdmissionPolicy"

// Mutate changes a.Object as the policies say, in the order of the names of policies and of their bindings. If one changes it, all mutators get
// a second round, in which those policies that ask for it are applied again. The error names every policy that failed.
func (m *Mutating) Mutate(ctx context.Context, a *admission.Attributes) error {
	r, policies, err := begin(ctx, &m.config, &m.held, a)
	if err != nil || len(policies) == 0 {
		return err
	}
	invocations, faults := collect(r, policies)
	if len(invocations) > 0 {
		more, err := m.apply(r, invocations)
		if err != nil {
			return api.ToError(err)
		}
		faults = append(faults, more...)
	}
	if err := over(ctx); err != nil {
		return api.ToError(err)
	}
	return refusal(a, faults)
}

// collect finds what is to be applied, with all parameters, before anything is changed.
func collect(r *request, policies []*bound[*mutator]) (list []*invocation, faults []fault) {
	for _, p := range policies {
		as, matches, err := p.match.matches(r)
		if err == nil && !matches {
			continue
		}
		var of *paramType
		if err == nil {
			of, err = r.config.paramTypeOf(p.paramKind)
		}
		if err != nil {
			faults = append(faults, p.faulty("", fmt.Errorf("failed to configure policy: %s", clientText(err)), "")...)
			continue
		}
		for _, b := range p.bindings {
			params, err := r.paramsFor(b, of)
			if err != nil {
				faults = append(faults, p.faulty(b.name, fmt.Errorf("failed to configure binding: %s", clientText(err)), "")...)
			}
			for _, param := range params {
				list = append(list, &invocation{p, b, as, param})
			}
		}
	}
	return list, faults
}

// faulty is a fault unless the policy ignores its errors.
func (p *bound[E]) faulty(binding string, err error, reason metav1.StatusReason) []fault {
	if p.ignore {
		return nil
	}
	return []fault{{p.name, binding, err, reason}}
}

// memory is what is known of the first round in the second.
type memory struct {
	last        runtime.Object     // as the policies left it
	invoked, do map[[3]string]bool // invocations to repeat if something changes; those to be repeated
}

// changed has all that were invoked and want it invoked again.
func (m *memory) changed() {
	for key := range m.invoked {
		m.do[key] = true
	}
	clear(m.invoked)
}

// apply applies the invocations one after the other.
func (m *Mutating) apply(r *request, list []*invocation) ([]fault, error) {
	known, _ := r.Kept(pluginName).(*memory)
	if known == nil {
		known = &memory{invoked: map[[3]string]bool{}, do: map[[3]string]bool{}}
		r.Keep(pluginName, known)
	}
	if r.SecondRound() && !apiequality.Semantic.DeepEqual(known.last, r.Object) {
		known.changed()
	}
	var faults []fault
	for _, i := range list {
		found, err := m.invoke(r, i, known)
		if err != nil {
			return nil, err
		}
		faults = append(faults, found...)
	}
	if r.Object != nil {
		known.last = r.Object.DeepCopyObject()
	}
	return faults, nil
}

// invoke applies one policy. An error is one of the request and not of the policy.
func (m *Mutating) invoke(r *request, i *invocation, known *memory) ([]fault, error) {
	p := i.compiled()
	values, err := r.inputs(i.as, i.param.value, p.spec.ParamKind != nil)
	if err != nil {
		return i.faulty("", fmt.Errorf("failed to configure policy: %w", err), ""), nil
	}
	namespace, err := r.namespaceValue()
	if err != nil {
		return nil, err
	}
	e := &edit{mutating: m, r: r, i: i, values: values, namespace: namespace}
	if err := e.show(); err != nil {
		return i.faulty("", fmt.Errorf("failed to configure policy: %w", err), ""), nil
	}
	applies, err := p.applies(r.ctx, r.authorized(values))
	if err != nil {
		return i.faulty(i.binding.name, err, metav1.StatusReasonInvalid), nil
	}
	if !applies || (r.SecondRound() && !known.do[i.key()]) {
		return nil, nil
	}
	faults, changed, err := e.all(p.mutations)
	if err != nil {
		return nil, err
	}
	if changed {
		known.changed()
		r.AskAgain()
	}
	if p.spec.ReinvocationPolicy == admissionregistrationv1.IfNeededReinvocationPolicy {
		known.invoked[i.key()] = true
	}
	return faults, nil
}

// refusal is the answer to a request with faults: the first of them as the message, all of them as causes.
func refusal(a *admission.Attributes, faults []fault) error {
	if len(faults) == 0 {
		return nil
	}
	e := a.Forbidden(errors.New("admission request denied by policy"))
	for i, f := range faults {
		text := fmt.Sprintf("policy %q denied request: %s", f.policy, f.err)
		if f.binding != "" {
			text = fmt.Sprintf("policy '%s' with binding '%s' denied request: %s", f.policy, f.binding, f.err)
		}
		if i == 0 {
			e.Status.Message = text
			if f.reason != "" {
				e.Status.Reason = f.reason
			}
		}
		e.Status.Details.Causes = append(e.Status.Details.Causes, metav1.StatusCause{Message: text})
	}
	return e
}
