package cel

import (
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/library"
	"k8s.io/apiserver/pkg/cel/mutation"
)

// Names of the variables of expressions that decide on admission.
const (
	ObjectName          = "object"
	OldObjectName       = "oldObject"
	RequestName         = "request"
	NamespaceName       = "namespaceObject"
	ParamsName          = "params"
	AuthorizerName      = "authorizer"
	RequestResourceName = "authorizer.requestResource"
)

// Has is which variables an expression that decides on admission has beside object, oldObject, request and namespaceObject.
type Has struct {
	// Params is for policies with a kind of parameters.
	Params bool
	// Authorizer adds authorizer and authorizer.requestResource, of the types that package k8s.io/apiserver/pkg/cel/library makes.
	Authorizer bool
	// Patches adds the types Object and JSONPatch, of which patches are made.
	Patches bool
}

// Admission are the scopes of expressions that decide on admission. It is safe for concurrent use.
type Admission struct {
	base   *Scope
	mu     sync.Mutex // guards scopes
	scopes map[kind]*Scope
}

// kind is what a scope that is shared has; named is whether it has variables, of which there are none.
type kind struct {
	Has
	named bool
}

// NewAdmission returns the scopes, none of them built yet.
func NewAdmission() *Admission {
	return &Admission{base: NewScope(), scopes: map[kind]*Scope{}}
}

// Scope returns the scope that has what is asked for.
func (a *Admission) Scope(has Has) *Scope { return a.shared(kind{Has: has}) }

// ScopeFor returns the scope for the expressions of a policy, which has its variables besides.
func (a *Admission) ScopeFor(has Has, v *Variables) *Scope {
	if v.none {
		return a.shared(kind{has, true})
	}
	return has.of(a.base.With(v.Variable()))
}

func (a *Admission) shared(k kind) *Scope {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.scopes[k]
	if s == nil {
		base := a.base
		if k.named {
			base = base.With(NewVariables(0).Variable())
		}
		s = k.of(base)
		a.scopes[k] = s
	}
	return s
}

// of adds the variables to a scope, and after them the types of patches: each extension finds types in what it extends.
func (h Has) of(base *Scope) *Scope {
	variables := []Variable{
		{Name: ObjectName}, {Name: OldObjectName}, {Name: NamespaceName, Object: namespaceType()}, {Name: RequestName, Object: requestType()},
	}
	if h.Params {
		variables = append(variables, Variable{Name: ParamsName})
	}
	if h.Authorizer {
		variables = append(variables, Variable{Name: AuthorizerName, Type: library.AuthorizerType},
			Variable{Name: RequestResourceName, Type: library.ResourceCheckType})
	}
	scope := base.With(variables...)
	if h.Patches {
		scope = scope.extended(nil, []cel.EnvOption{common.ResolverEnvOption(&mutation.DynamicTypeResolver{}), library.JSONPatch()})
	}
	return scope
}

// ApplyConfigurationType is what an expression makes that describes a part of an object, to be applied.
func ApplyConfigurationType() *cel.Type { return types.NewObjectType(mutation.ObjectTypeName) }

// JSONPatchType is what an expression makes that lists the operations of a JSON patch.
func JSONPatchType() *cel.Type { return cel.ListType(types.NewObjectType(mutation.JSONPatchTypeName)) }

// ObjectValue is an object, an admission request or nil as the value of a variable.
func ObjectValue(o any) (any, error) {
	if o == nil {
		return nil, nil
	}
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, fmt.Errorf("cel: convert a %T: %w", o, err)
	}
	return m, nil
}

// RequestValue is the value of the variable request. The objects are not part of it.
func RequestValue(r *admissionv1.AdmissionRequest) (any, error) {
	without := *r
	without.Object, without.OldObject = runtime.RawExtension{}, runtime.RawExtension{}
	return ObjectValue(&without)
}

// NamespaceValue is the value of the variable namespaceObject, which has the fields that expressions may see; nil stays nil.
func NamespaceValue(n *corev1.Namespace) (any, error) {
	if n == nil {
		return nil, nil
	}
	m := n.ObjectMeta
	return ObjectValue(&corev1.Namespace{
		Status: n.Status, Spec: n.Spec, ObjectMeta: metav1.ObjectMeta{
			Name: m.Name, GenerateName: m.GenerateName, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion, Generation: m.Generation,
			CreationTimestamp: m.CreationTimestamp, DeletionTimestamp: m.DeletionTimestamp, DeletionGracePeriodSeconds: m.DeletionGracePeriodSeconds,
			Labels: m.Labels, Annotations: m.Annotations, Finalizers: m.Finalizers,
		},
	})
}

// fields are those of an object type, all of them required but for those whose names end with a question mark.
type fields map[string]*apiservercel.DeclType

func object(name string, of fields) *apiservercel.DeclType {
	declared := make(map[string]*apiservercel.DeclField, len(of))
	for field, t := range of {
		required := field[len(field)-1] != '?'
		if !required {
			field = field[:len(field)-1]
		}
		declared[field] = apiservercel.NewDeclField(field, t, required, nil, nil)
	}
	return apiservercel.NewObjectType("kubernetes."+name, declared)
}

func listOf(t *apiservercel.DeclType) *apiservercel.DeclType { return apiservercel.NewListType(t, -1) }

func mapOf(t *apiservercel.DeclType) *apiservercel.DeclType {
	return apiservercel.NewMapType(apiservercel.StringType, t, -1)
}

func requestType() *apiservercel.DeclType {
	text := apiservercel.StringType
	kind := object("GroupVersionKind", fields{"group": text, "version": text, "kind": text})
	resource := object("GroupVersionResource", fields{"group": text, "version": text, "resource": text})
	user := object("UserInfo", fields{"username?": text, "uid?": text, "groups?": listOf(text), "extra?": mapOf(listOf(text))})
	return object("AdmissionRequest", fields{
		"kind": kind, "resource": resource, "subResource?": text, "requestKind": kind, "requestResource": resource, "requestSubResource?": text,
		"name": text, "namespace?": text, "operation": text, "userInfo": user, "dryRun?": apiservercel.BoolType, "options?": apiservercel.DynType,
	})
}

func namespaceType() *apiservercel.DeclType {
	text, number, moment := apiservercel.StringType, apiservercel.IntType, apiservercel.TimestampType
	condition := object("NamespaceCondition", fields{"status": text, "type": text, "lastTransitionTime": moment, "message": text, "reason": text})
	return object("Namespace", fields{
		"metadata": object("NamespaceMetadata", fields{
			"name": text, "generateName": text, "namespace": text, "labels": mapOf(text), "annotations": mapOf(text), "UID": text,
			"creationTimestamp": moment, "deletionGracePeriodSeconds": number, "deletionTimestamp": moment, "generation": number,
			"resourceVersion": text, "finalizers": listOf(text),
		}),
		"spec":   object("NamespaceSpec", fields{"finalizers": listOf(text)}),
		"status": object("NamespaceStatus", fields{"conditions": listOf(condition), "phase": text}),
	})
}
