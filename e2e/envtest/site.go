// Package envtest is a project like those that are built with controller-runtime, and its tests are a suite like theirs, on
// envtest: they know nothing of Gatehouse. TestEnvtest in the module e2e runs the suite with Gatehouse and with kube-apiserver
// as the program that KUBEBUILDER_ASSETS points to.
//
// The project keeps a Deployment for each ConfigMap with the label site.
package envtest

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

const (
	// SiteLabel is on every ConfigMap that is a site.
	SiteLabel = "site"
	// Finalizer keeps a site until the reconciler has seen its deletion.
	Finalizer = "example.org/site"
	// ImageKey is the entry of a site that names the image.
	ImageKey = "image"
)

// Sites reconciles sites.
type Sites struct {
	client.Client
	Events events.EventRecorder
	// Goodbye is told the name of each site that goes.
	Goodbye func(name string)
}

// SetupWithManager makes the manager run the reconciler under a name that is its own.
func (s *Sites) SetupWithManager(mgr ctrl.Manager, name string) error {
	isSite := predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetLabels()[SiteLabel] != "" })
	skip := true // Tests start several controllers in one process.
	return ctrl.NewControllerManagedBy(mgr).
		Named(name).
		For(&corev1.ConfigMap{}, builder.WithPredicates(isSite)).
		Owns(&appsv1.Deployment{}).
		WithOptions(controller.Options{SkipNameValidation: &skip}).
		Complete(s)
}

// Reconcile makes the Deployment of one site what the site says.
func (s *Sites) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	site := &corev1.ConfigMap{}
	if err := s.Get(ctx, req.NamespacedName, site); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !site.DeletionTimestamp.IsZero() {
		s.Goodbye(site.Name)
		controllerutil.RemoveFinalizer(site, Finalizer)
		return ctrl.Result{}, client.IgnoreNotFound(s.Update(ctx, site))
	}
	if controllerutil.AddFinalizer(site, Finalizer) {
		if err := s.Update(ctx, site); err != nil {
			return ctrl.Result{}, err
		}
	}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: site.Namespace, Name: site.Name}}
	done, err := controllerutil.CreateOrUpdate(ctx, s.Client, deployment, func() error {
		shape(deployment, site)
		return controllerutil.SetControllerReference(site, deployment, s.Scheme())
	})
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("keep deployment of %s: %w", site.Name, err)
	}
	if done == controllerutil.OperationResultCreated {
		s.Events.Eventf(site, deployment, corev1.EventTypeNormal, "Deployed", "Deploy", "made deployment %s", deployment.Name)
	}
	return ctrl.Result{}, nil
}

// shape sets what the project decides and leaves alone what the server has defaulted.
func shape(deployment *appsv1.Deployment, site *corev1.ConfigMap) {
	labels := map[string]string{SiteLabel: site.Name}
	deployment.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	deployment.Spec.Template.Labels = labels
	containers := &deployment.Spec.Template.Spec.Containers
	if len(*containers) == 0 {
		*containers = []corev1.Container{{Name: "site"}}
	}
	(*containers)[0].Image = site.Data[ImageKey]
}
