package celpolicy

import (
	"errors"
	"fmt"
	"maps"
	"reflect"

	"github.com/google/cel-go/common/types/ref"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/internal/cel"
)

// mutator is a compiled MutatingAdmissionPolicy. It is safe for concurrent use.
type mutator struct {
	common
	spec      *admissionregistrationv1.MutatingAdmissionPolicySpec
	mutations []change
}

// change is one of its expressions, which makes a patch.
type change struct {
	expression
	json bool // a JSON patch, as opposed to a configuration to apply
}

func newMutator(scopes *cel.Admission, spec *admissionregistrationv1.MutatingAdmissionPolicySpec) *mutator {
	m := &mutator{spec: spec}
	hasParams := spec.ParamKind != nil
	m.common, _ = compileCommon(scopes, hasParams, spec.Variables, spec.MatchConditions)
	scope := scopes.ScopeFor(cel.Has{Params: hasParams, Authorizer: true, Patches: true}, m.variables)
	for _, x := range spec.Mutations {
		switch {
		case x.PatchType == admissionregistrationv1.PatchTypeJSONPatch && x.JSONPatch != nil:
			m.mutations = append(m.mutations, change{compile(scope, x.JSONPatch.Expression, cel.JSONPatchType()), true})
		case x.PatchType == admissionregistrationv1.PatchTypeApplyConfiguration && x.ApplyConfiguration != nil:
			m.mutations = append(m.mutations, change{compile(scope, x.ApplyConfiguration.Expression, cel.ApplyConfigurationType()), false})
		default:
			m.mutations = append(m.mutations, change{expression: expression{err: fmt.Errorf("unknown patch type %q", x.PatchType)}})
		}
	}
	return m
}

// edit is the object on its way through the mutations of one invocation.
type edit struct {
	mutating  *Mutating
	r         *request
	i         *invocation
	values    map[string]any
	namespace any

	object runtime.Object // in the form in which the policy matched it
}

// show makes the object, as it is now, the variable of that name.
func (e *edit) show() error {
	if e.r.Object == nil {
		return nil
	}
	e.object = e.r.Object
	if e.i.as.Kind != e.r.Kind {
		var err error
		if e.object, err = e.r.config.Kinds.Convert(e.r.Object, e.i.as.Kind); err != nil {
			return err
		}
	}
	m, err := valueOf(e.object, e.i.as.Kind)
	e.values[cel.ObjectName] = m
	return err
}

// all applies the mutations one after the other, and reports whether any changed the object. What is wrong with one does not keep
// the others from it. An error is one of the request and not of the policy.
func (e *edit) all(list []change) (faults []fault, changed bool, err error) {
	for n := range list {
		if e.r.Object == nil {
			break
		}
		did, err := e.run(&list[n])
		var answer *api.Error
		if errors.As(err, &answer) {
			return nil, false, answer
		}
		if err != nil {
			faults = append(faults, e.i.faulty(e.i.binding.name, err, metav1.StatusReasonInvalid)...)
		}
		changed = changed || did
	}
	return faults, changed, nil
}

// run evaluates one mutation and applies its patch, and reports whether that changed anything.
func (e *edit) run(m *change) (bool, error) {
	value, err := e.evaluate(m)
	if err != nil {
		return false, err
	}
	current, _ := e.values[cel.ObjectName].(map[string]any)
	var patched map[string]any
	if m.json {
		patched, err = applyJSONPatch(current, value)
	} else {
		patched, err = e.mutating.applyConfiguration(e.i.as.Kind, current, value)
	}
	if err != nil || patched == nil {
		return false, err
	}
	return e.take(patched, m.json)
}

func (e *edit) evaluate(m *change) (ref.Val, error) {
	if m.err != nil {
		return nil, m.err
	}
	values := e.r.authorized(e.values)
	values[cel.NamespaceName] = e.namespace
	budget := cel.NewBudget(cel.BindingBudget)
	e.i.compiled().variables.Bind(e.r.ctx, values, budget)
	return m.program.Eval(e.r.ctx, values, budget)
}

// take makes the object what the patch made of it. What the server manages of it stays: who owns which field.
func (e *edit) take(patched map[string]any, strict bool) (bool, error) {
	before := e.r.Object.DeepCopyObject()
	var next runtime.Object
	if _, generic := e.object.(*unstructured.Unstructured); generic {
		next = &unstructured.Unstructured{Object: maps.Clone(patched)}
	} else {
		next = reflect.New(reflect.TypeOf(e.object).Elem()).Interface().(runtime.Object)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(patched, next, strict); err != nil {
			if strict { // of which the reference makes an answer that no failure policy ignores
				return false, api.ToError(apierrors.NewInternalError(err))
			}
			return false, err
		}
		e.r.config.Kinds.Default(e.i.as.Kind, next)
	}
	if e.i.as.Kind != e.r.Kind {
		var err error
		if next, err = e.r.config.Kinds.Convert(next, e.r.Kind); err != nil {
			return false, err
		}
	}
	if err := admission.Become(e.r.Object, next); err != nil {
		return false, err
	}
	return !apiequality.Semantic.DeepEqual(before, e.r.Object), e.show()
}
