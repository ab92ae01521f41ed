/** The package's version, put in by the build. */
declare const VERSION: string;

declare module "*.css" {
  const text: string;
  export default text;
}
