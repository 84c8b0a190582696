// Swagger UI, shown where the page says, of the document that it names.

const place = document.getElementById("swagger-ui");

SwaggerUIBundle({
  domNode: place,
  url: place.dataset.url,
  deepLinking: true,
  showCommonExtensions: true,
});
